-- The processes that share the store.

-- name: beat
-- Note that member $1 of release $3 is alive, forget the long dead, and return the others that were seen within
-- the last $2 seconds.
with me as (
    insert into members (id, release, seen_at) values ($1, $3, clock_timestamp())
        on conflict (id) do update set seen_at = excluded.seen_at
), dead as (
    delete from members
     where seen_at < clock_timestamp() - make_interval(secs => 20 * $2) and id <> $1
)
select id from members
 where seen_at > clock_timestamp() - make_interval(secs => $2) and id <> $1

-- name: members
select id, release, (extract(epoch from clock_timestamp() - seen_at) * 1000)::bigint from members order by id

-- name: leave
delete from members where id = $1

-- name: notify
select pg_notify($1, word) from unnest($2::text[]) as w (word)
