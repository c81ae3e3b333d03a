-- Journeys; both stores run these as they are.

-- name: journey
select id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events
  from journeys where id = $1

-- name: journey_lines
select lines from journey_history where journey = $1 order by position

-- name: journeys
select id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events
  from journeys where {where} order by id desc limit {limit}

-- name: running_journeys
select journey, count(*) from (
           select journey from journeys where finished_at is null limit 100000
       ) counted group by journey

-- name: put_journey
insert into journeys
       (id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    on conflict (id) do update
   set status = excluded.status, finished_at = excluded.finished_at, due_at = excluded.due_at,
       state = excluded.state, events = excluded.events

-- name: add_journey_lines
insert into journey_history (journey, lines) values ($1, $2)

-- name: add_entered
insert into entered (recipient, journey, key, id, at) values ($1, $2, $3, $4, $5)
    on conflict do nothing

-- name: erase_journey_history
delete from journey_history where journey in (select id from journeys where recipient = $1)

-- name: erase_journeys
delete from journeys where recipient = $1

-- name: erase_entered
delete from entered where recipient = $1

-- name: purge_journey_history
-- At most $2 journeys that ended before $1.
delete from journey_history
 where journey in (
           select id from journeys where finished_at < $1 order by finished_at, id limit $2
       )

-- name: purge_journeys
delete from journeys
 where id in (select id from journeys where finished_at < $1 order by finished_at, id limit $2)
