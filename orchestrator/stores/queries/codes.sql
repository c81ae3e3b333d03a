-- Pools of codes, and counts of experiments: what both stores run alike.

-- name: exposures
select experiment, arm, exposed, succeeded from exposures

-- name: add_exposures
insert into exposures (experiment, arm, exposed, succeeded) values ($1, $2, $3, $4)
    on conflict (experiment, arm) do update
   set exposed = exposures.exposed + excluded.exposed, succeeded = exposures.succeeded + excluded.succeeded

-- name: open_code_import
insert into code_imports (pool, source, at, codes) values ($1, $2, $3, 0) on conflict do nothing

-- name: code_pools
select i.pool, cast(sum(i.codes) as bigint),
       (select count(*) from codes c where c.pool = i.pool and c.code is not null), max(i.at)
  from code_imports i group by i.pool order by i.pool

-- name: code_places
select c.pool, c.message, c.taken_at, i.at
  from codes c join code_imports i on i.pool = c.pool and i.source = c.source
 where c.hash = $1 order by c.pool

-- name: take_codes
update codes set code = null, message = $3, taken_at = $4
 where pool = $1 and hash = $2 and code is not null

-- name: return_codes
-- A code that this message had; what another one has got since is left alone.
update codes set code = $4, message = null, taken_at = null
 where pool = $1 and hash = $2 and message = $3
