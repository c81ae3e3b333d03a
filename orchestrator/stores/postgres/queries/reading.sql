-- What this store reads in its own way. The last parameter of a statement that asks for this
-- process's share is the array of its buckets, or null if all of them are its own.

-- name: claim
select lane, since, message, step from ready
 where queue = $1 and lane between $2 and $3 and ($5::smallint[] is null or bucket = any ($5))
 order by lane, since, message, step limit $4

-- name: depths
with recursive q (queue) as (
    select min(queue) from ready
    union all
    select (select min(queue) from ready where queue > q.queue) from q where q.queue is not null
)
select q.queue, l.lane, (
           select count(*) from (
               select 1 from ready r
                where r.queue = q.queue and r.lane = l.lane
                  and ($1::smallint[] is null or r.bucket = any ($1))
                limit 10000
           ) counted
       )
  from q, generate_series(0, 3) l (lane) where q.queue is not null

-- name: due
select due_at, message from timers
 where due_at <= $1 and ($3::smallint[] is null or bucket = any ($3))
 order by due_at, message limit $2

-- name: due_otp
-- The lane is written out, because a partial index serves this.
select due_at, message from timers
 where due_at <= $1 and lane = 0 and ($3::smallint[] is null or bucket = any ($3))
 order by due_at, message limit $2

-- name: timers_after
select due_at, message from timers
 where (due_at, message) > ($1::bigint, $2::text) and ($4::smallint[] is null or bucket = any ($4))
 order by due_at, message limit $3

-- name: unexamined
select bucket from generate_series(0, 1023) bucket
 where ($2::smallint[] is null or bucket = any ($2))
   and not exists (select 1 from examined where examined.bucket = bucket.bucket and digest = $1)

-- name: under_way
select due_at, message, state from timers join messages on id = message
 where (due_at, message) > ($1::bigint, $2::text) order by due_at, message limit $3

-- name: unfinished_after
-- Each half is limited by itself, so that neither is read to its end.
(select m.id, exists (
            select 1 from timers t
             where t.due_at = (convert_from(m.state, 'UTF8')::json ->> 'due_at')::bigint
               and t.message = m.id
        )
   from messages m
  where m.id > $1 and ($3::smallint[] is null or m.bucket = any ($3)) order by m.id limit $2)
union all
(select j.id, exists (select 1 from timers t where t.due_at = j.due_at and t.message = j.id)
   from journeys j
  where j.finished_at is null and j.id > $1 and ($3::smallint[] is null or j.bucket = any ($3))
  order by j.id limit $2)
 order by 1 limit $2

-- name: next_due
select due_at from timers
 where $1::smallint[] is null or bucket = any ($1) order by due_at limit 1

-- name: next_due_otp
select due_at from timers
 where lane = 0 and ($1::smallint[] is null or bucket = any ($1)) order by due_at limit 1

-- name: message
select u.state, e.document
  from (select id, state from messages where id = $1
        union all
        select id, state from finished where id = $1) u
  left join message_events e on e.message = u.id

-- name: messages
-- Each half is limited by itself, so that neither is read to its end.
select u.state, e.document
  from ((select id, state from messages where {live} order by id {order} limit {limit})
        union all
        (select id, state from finished where {where} order by id {order} limit {limit})) u
  left join message_events e on e.message = u.id
 order by u.id {order} limit {limit}

-- name: history
select lines from history where message = $1 order by position

-- name: joined_events
select message, data from joined_events where message = any ($1::text[]) order by message, number

-- name: load_recipients
select id, document from recipients where id = any ($1::text[])

-- name: outbox
select sequence, id, recipient, body from outbox
 where sink = $1 and ($3::smallint[] is null or bucket = any ($3)) order by sequence limit $2

-- name: waiting_statuses
select count(*) from (
    select 1 from outbox
     where sink = $1 and ($2::smallint[] is null or bucket = any ($2)) limit 10000
) counted

-- name: delivered
delete from outbox where sink = $1 and sequence = any ($2::bigint[])

-- name: take_tokens
select granted, next_in, paused_for from take_tokens($1, $2, $3, $4, $5, $6)

-- name: pause
insert into rates (provider, tokens, filled_at, paused_until)
values ($1, 0, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
    on conflict (provider) do update
   set paused_until = greatest(rates.paused_until, excluded.paused_until)

-- name: owners
select hash, recipient from (
    select hash, recipient, row_number() over (partition by hash order by recipient) as place
      from owners where hash = any ($1::text[])
) as owned where place <= $2 order by hash, recipient

-- name: inbox_numbers
select recipient, seq from inboxes where recipient = any ($1::text[])
