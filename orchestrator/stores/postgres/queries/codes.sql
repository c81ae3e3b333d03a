-- Pools of codes, in this store's own way.

-- name: free_codes
-- Those that nobody else has locked, so that processes do not wait for each other.
select hash, code from codes where pool = $1 and code is not null
 order by position limit $2 for update skip locked

-- name: last_codes
-- The same when few are left: what others have locked may come back, so it is waited for.
select hash, code from codes where pool = $1 and code is not null
 order by position limit $2 for update

-- name: known_codes
select hash, source from codes where pool = $1 and hash = any ($2::text[])

-- name: add_codes
with added as (
    insert into codes (pool, source, hash, code)
    select $1, $2, hash, code from unnest($3::text[], $4::text[]) with ordinality as w (hash, code, place)
     order by place
        on conflict do nothing returning 1
)
update code_imports set codes = codes + (select count(*) from added) where pool = $1 and source = $2
