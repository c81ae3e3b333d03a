-- What this store reads in its own way.

-- name: claim
select lane, since, message, step from ready
 where queue = $1 and lane between $2 and $3 order by lane, since, message, step limit $4

-- name: depths
with recursive q (queue) as (
    select min(queue) from ready
    union all
    select (select min(queue) from ready where queue > q.queue) from q where q.queue is not null
), l (lane) as (values (0), (1), (2), (3))
select q.queue, l.lane, (
           select count(*) from (
               select 1 from ready r where r.queue = q.queue and r.lane = l.lane limit 10000
           )
       )
  from q, l where q.queue is not null

-- name: due
select due_at, message from timers where due_at <= $1 order by due_at, message limit $2

-- name: due_otp
-- The lane is written out, because a partial index serves this.
select due_at, message from timers
 where due_at <= $1 and lane = 0 order by due_at, message limit $2

-- name: timers_after
select due_at, message from timers where (due_at, message) > ($1, $2)
 order by due_at, message limit $3

-- name: unexamined
select 0 where not exists (select 1 from examined where digest = $1)

-- name: under_way
select due_at, message, state from timers join messages on id = message
 where (due_at, message) > ($1, $2) order by due_at, message limit $3

-- name: unfinished_after
select m.id, exists (
           select 1 from timers
            where due_at = json_extract(cast(m.state as text), '$.due_at') and message = m.id
       )
  from messages m where m.finished_at is null and m.id > $1
union all
select j.id, exists (select 1 from timers where due_at = j.due_at and message = j.id)
  from journeys j where j.finished_at is null and j.id > $1
 order by 1 limit $2

-- name: next_due
select due_at from timers order by due_at limit 1

-- name: next_due_otp
select due_at from timers where lane = 0 order by due_at limit 1

-- name: message
select state, document from messages left join message_events on message = id where id = $1

-- name: messages
select state, document from messages left join message_events on message = id
 where {where} order by id {order} limit {limit}

-- name: history
select lines from history where message = $1 order by rowid

-- name: outbox
select sequence, id, recipient, body from outbox
 where sequence > coalesce((select sequence from sinks where sink = $1), 0)
 order by sequence limit $2

-- name: waiting_statuses
select count(*) from (
    select 1 from outbox
     where sequence > coalesce((select sequence from sinks where sink = $1), 0) limit 10000
)

-- name: delivered
insert or replace into sinks (sink, sequence) values ($1, $2)

-- name: load_event
select digest, messages, status from events where source = $1 and id = $2

-- name: load_reference
select message, attempt from provider_references where provider = $1 and reference = $2

-- name: load_contacts
-- $1 is a JSON array of hashes: those of all channels, because there are few.
select hash, channel, message, attempt, written_to from contacts
 where hash in (select value from json_each($1))

-- name: load_dedupe
select d.message, d.until, m.state
  from dedupes d left join messages m on m.id = d.message
 where d.policy = $1 and d.recipient = $2 and d.key = $3

-- name: load_digest
select d.message
  from dedupes d join messages m on m.id = d.message
 where d.policy = $1 and d.recipient = $2 and d.key = $3 and m.finished_at is null

-- name: joined_events
select message, data from joined_events
 where message in (select value from json_each($1)) order by message, number

-- name: load_live
select id from messages where recipient = $1 and finished_at is null order by id

-- name: load_messages
-- $1 is a JSON array, as in the next two.
select id, state, document from messages left join message_events on message = id
 where id in (select value from json_each($1))

-- name: load_recipients
select id, document from recipients where id in (select value from json_each($1))

-- name: load_addresses
select hash, document from addresses where hash in (select value from json_each($1))

-- name: load_orphans
select receipt from orphans where provider = $1 and reference = $2 order by at, rowid

-- name: owners
select hash, recipient from (
    select hash, recipient, row_number() over (partition by hash order by recipient) as place
      from owners where hash in (select value from json_each($1))
) as owned where place <= $2 order by hash, recipient

-- name: inbox_numbers
select recipient, seq from inboxes where recipient in (select value from json_each($1))

-- name: load_journeys
select id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events
  from journeys where id in (select value from json_each($1))

-- name: load_journeys_of
select id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events
  from journeys
 where recipient in (select value from json_each($1)) and finished_at is null order by id

-- name: load_entered
select id from entered where recipient = $1 and journey = $2 and key = $3
