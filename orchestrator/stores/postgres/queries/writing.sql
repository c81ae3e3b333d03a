-- What a batch writes, in three statements and the deletions of an erasure.

-- name: write
-- What nearly every batch writes, in one statement. Its parts touch different tables or different
-- rows, so their order does not matter. Live messages that are new ($1…$7) or have changed ($8 ids,
-- $9 statuses, $10 states); those that have ended ($11…$19), which leave the live table; history
-- ($20 messages, $21 times, $22 lines); how new messages began ($23 messages, $24 events, $25
-- lines); backlog rows to remove ($26…$30) and add ($31…$36); timers to remove ($37, $38) and add
-- ($39…$42). Returns the version of the live messages that it wrote: this transaction.
with created as (
    insert into messages (id, bucket, recipient, policy, status, created_at, state)
    select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[])
), changed as (
    update messages m set status = w.status, state = w.state
      from unnest($8::text[], $9::text[], $10::bytea[]) as w (id, status, state) where m.id = w.id
), left_live as (
    delete from messages where id = any ($11::text[])
), ended as (
    insert into finished (id, bucket, recipient, policy, status, created_at, finished_at, state, reason)
    select * from unnest($11::text[], $12::smallint[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],
                         $18::bytea[], $19::text[])
        on conflict (id) do update
       set status = excluded.status, finished_at = excluded.finished_at, state = excluded.state, reason = excluded.reason
), lines as (
    insert into history (message, at, lines) select * from unnest($20::text[], $21::bigint[], $22::bytea[])
), origins as (
    insert into message_events (message, document, lines) select * from unnest($23::text[], $24::bytea[], $25::bytea[])
), ready_out as (
    delete from ready r using unnest($26::text[], $27::smallint[], $28::bigint[], $29::text[], $30::smallint[])
        as w (queue, lane, since, message, step)
     where r.queue = w.queue and r.lane = w.lane and r.since = w.since and r.message = w.message and r.step = w.step
), ready_in as (
    insert into ready (queue, lane, since, message, step, bucket)
    select * from unnest($31::text[], $32::smallint[], $33::bigint[], $34::text[], $35::smallint[], $36::smallint[])
        on conflict do nothing
), timers_out as (
    delete from timers t using unnest($37::bigint[], $38::text[]) as w (due_at, message)
     where t.due_at = w.due_at and t.message = w.message
), timers_in as (
    insert into timers (due_at, message, bucket, lane)
    select * from unnest($39::bigint[], $40::text[], $41::smallint[], $42::smallint[])
        on conflict do nothing
)
select pg_current_xact_id()::xid::text

-- name: write_people
-- The documents of recipients ($1, $2, $3) and addresses ($4, $5), who was written to last
-- ($6…$11), the providers' references ($12…$15), and whose addresses no longer ($16 hashes, $17
-- recipients) and now ($18, $19): never the same pair. $20 is the time.
with people as (
    insert into recipients (id, bucket, document, seen_at)
    select *, $20::bigint from unnest($1::text[], $2::smallint[], $3::bytea[])
        on conflict (id) do update set document = excluded.document, seen_at = excluded.seen_at
), places as (
    insert into addresses (hash, document) select * from unnest($4::text[], $5::bytea[])
        on conflict (hash) do update set document = excluded.document
), contacted as (
    insert into contacts (hash, channel, message, attempt, written_to, at)
    select * from unnest($6::text[], $7::text[], $8::text[], $9::integer[], $10::text[], $11::bigint[])
        on conflict (hash, channel) do update
        set message = excluded.message, attempt = excluded.attempt, written_to = excluded.written_to, at = excluded.at
), disowned as (
    delete from owners o using unnest($16::text[], $17::text[]) as w (hash, recipient)
     where o.hash = w.hash and o.recipient = w.recipient
), owned as (
    insert into owners (hash, recipient) select * from unnest($18::text[], $19::text[]) on conflict do nothing
)
insert into provider_references (provider, reference, message, attempt)
select * from unnest($12::text[], $13::text[], $14::text[], $15::integer[]) on conflict do nothing

-- name: write_events
-- What comes in: events ($1…$6, their message ids as JSON arrays), raw receipts ($7…$9), dedupe
-- windows ($10…$14) and status events ($15 sinks; $16 ids, $17 buckets, $18 recipients, $19 bodies
-- in their order).
with accepted as (
    insert into events (source, id, digest, status, messages, accepted_at)
    select w.source, w.id, w.digest, w.status, array(select json_array_elements_text(w.messages::json)), w.accepted_at
      from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::bigint[])
        as w (source, id, digest, status, messages, accepted_at)
), raw as (
    insert into raw_receipts (at, provider, body) select * from unnest($7::bigint[], $8::text[], $9::bytea[])
), windows as (
    insert into dedupes (policy, recipient, key, message, until)
    select * from unnest($10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[])
        on conflict (policy, recipient, key) do update set message = excluded.message, until = excluded.until
)
insert into outbox (sink, bucket, id, recipient, body)
select s.sink, w.bucket, w.id, w.recipient, w.body
  from unnest($16::text[], $17::smallint[], $18::text[], $19::bytea[]) with ordinality as w (id, bucket, recipient, body, n)
 cross join unnest($15::text[]) as s (sink)
 order by w.n

-- name: add_counts
-- Counts: rows of keys that may be new ($1…$12), and what is added ($13 days, $14 keys, $15 the
-- slot of this process, $16…$25 numbers), both in the order in which all processes take them.
with keys as (
    insert into count_keys (id, day, policy, version, message_class, journey, stage, arm, channel, status, reason, currency)
    select * from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
        on conflict do nothing
)
insert into counts (day, key, slot, messages, sends, delivered, read, clicked, replied, converted,
                    unsubscribed, complained, cost)
select * from unnest($13::integer[], $14::bigint[], $15::smallint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[])
    on conflict (key, day, slot) do update
   set messages = counts.messages + excluded.messages,
       sends = counts.sends + excluded.sends,
       delivered = counts.delivered + excluded.delivered,
       read = counts.read + excluded.read,
       clicked = counts.clicked + excluded.clicked,
       replied = counts.replied + excluded.replied,
       converted = counts.converted + excluded.converted,
       unsubscribed = counts.unsubscribed + excluded.unsubscribed,
       complained = counts.complained + excluded.complained,
       cost = counts.cost + excluded.cost

-- name: erase_recipient
delete from recipients where id = $1

-- name: messages_of
-- Everything that is stored of an erased recipient goes but the bare states of these messages.
select id from messages where recipient = $1
union all
select id from finished where recipient = $1

-- name: erase_message_events
delete from message_events where message = any ($1::text[])

-- name: erase_joined_events
delete from joined_events where message = any ($1::text[])

-- name: erase_history
delete from history where message = any ($1::text[])

-- name: erase_contacts
delete from contacts where message = any ($1::text[])

-- name: match_events
-- Events that were unmatched when they came. Their recipients are locked, so nobody else has them.
update events
   set status = $3, messages = array(select json_array_elements_text($4::json))
 where source = $1 and id = $2

-- name: drop_dead_letters
delete from dead_letters where id = any ($1::text[])

-- name: dead_letters_with
-- Input that may name an erased recipient: $1 is an address, or the id in quotes.
select id, body, headers from dead_letters
 where position(lower($1) in lower(headers)) > 0
    or position(
         lower(encode(convert_to($1, 'UTF8'), 'escape')) in lower(encode(body, 'escape'))
       ) > 0
