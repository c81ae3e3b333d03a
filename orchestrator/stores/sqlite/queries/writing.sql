-- One batch, table by table.

-- name: add_events
insert into events (source, id, digest, status, messages, accepted_at)
values ($1, $2, $3, $4, $5, $6)

-- name: match_events
update events set status = $3, messages = $4 where source = $1 and id = $2

-- name: add_messages
insert into messages (id, bucket, recipient, policy, status, created_at, finished_at, state, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: add_message_events
insert into message_events (message, document, lines) values ($1, $2, $3)

-- name: change_messages
update messages set status = $2, finished_at = $3, state = $4, reason = $5 where id = $1

-- name: add_history
insert into history (message, lines) values ($1, $2)

-- name: drop_ready
delete from ready
 where queue = $1 and lane = $2 and since = $3 and message = $4 and step = $5

-- name: add_ready
insert or ignore into ready (queue, lane, since, message, step) values ($1, $2, $3, $4, $5)

-- name: drop_timers
delete from timers where due_at = $1 and message = $2

-- name: add_timers
insert or ignore into timers (due_at, message, lane) values ($1, $2, $3)

-- name: add_references
-- Of a provider's id that comes twice, the earlier message keeps it.
insert into provider_references (provider, reference, message, attempt) values ($1, $2, $3, $4)
    on conflict (provider, reference) do update
   set message = excluded.message, attempt = excluded.attempt
 where excluded.message < provider_references.message

-- name: put_contacts
insert or replace into contacts (hash, channel, message, attempt, written_to, at)
values ($1, $2, $3, $4, $5, $6)

-- name: put_recipients
insert into recipients (id, bucket, document, seen_at) values ($1, $2, $3, $4)
    on conflict (id) do update set document = excluded.document, seen_at = excluded.seen_at

-- name: add_owners
insert or ignore into owners (hash, recipient) values ($1, $2)

-- name: drop_owners
delete from owners where hash = $1 and recipient = $2

-- name: put_addresses
insert or replace into addresses (hash, document) values ($1, $2)

-- name: add_raw_receipts
insert into raw_receipts (at, provider, body) values ($1, $2, $3)

-- name: put_dedupes
insert or replace into dedupes (policy, recipient, key, message, until) values ($1, $2, $3, $4, $5)

-- name: add_outbox
insert into outbox (id, recipient, body, queued_at) values ($1, $2, $3, $4)

-- name: erase_recipient
delete from recipients where id = $1

-- name: erase_contacts
-- Of the erased recipient's messages only the bare states stay.
delete from contacts where message in (select id from messages where recipient = $1)

-- name: erase_message_events
delete from message_events where message in (select id from messages where recipient = $1)

-- name: erase_joined_events
delete from joined_events where message in (select id from messages where recipient = $1)

-- name: erase_history
delete from history where message in (select id from messages where recipient = $1)

-- name: dead_letters_with
-- Input that may name an erased recipient: $1 is an address, or the id in quotes.
select id, body, headers from dead_letters
 where instr(lower(headers), lower($1)) > 0
    or instr(body, cast($1 as blob)) > 0
    or instr(lower(cast(body as text)), lower($1)) > 0

-- name: drop_dead_letters
delete from dead_letters where id = $1

-- name: add_count_keys
insert or ignore into count_keys
       (id, day, policy, version, message_class, journey, stage, arm, channel, status, reason,
        currency)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: add_counts
insert into counts
       (day, key, slot, messages, sends, delivered, read, clicked, replied, converted,
        unsubscribed, complained, cost)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    on conflict (key, day, slot) do update
   set messages = messages + excluded.messages,
       sends = sends + excluded.sends,
       delivered = delivered + excluded.delivered,
       read = read + excluded.read,
       clicked = clicked + excluded.clicked,
       replied = replied + excluded.replied,
       converted = converted + excluded.converted,
       unsubscribed = unsubscribed + excluded.unsubscribed,
       complained = complained + excluded.complained,
       cost = cost + excluded.cost
