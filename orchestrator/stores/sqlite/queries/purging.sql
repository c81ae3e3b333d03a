-- Deletions of at most $2 rows that are older than $1, so that none of them holds up the engine.

-- name: purge_orphans
-- Row ids are in order of time here, too.
delete from orphans
 where at < $1 and rowid in (select rowid from orphans order by rowid limit $2)

-- name: purge_raw_receipts
-- Row ids are in order of time, so the oldest rows are found without an index.
delete from raw_receipts
 where at < $1 and rowid in (select rowid from raw_receipts order by rowid limit $2)

-- name: purge_events
delete from events
 where (source, id) in (
           select source, id from events where accepted_at < $1 order by accepted_at limit $2
       )

-- name: purge_dead_letters
delete from dead_letters
 where id in (select id from dead_letters where at < $1 order by id limit $2)

-- name: purge_outbox
-- What every sink ($3, a JSON array) has taken, and what is older than $1 whoever has not.
delete from outbox
 where sequence in (select sequence from outbox order by sequence limit $2)
   and (queued_at < $1
        or not exists (
               select 1 from json_each($3) w
                where coalesce((select s.sequence from sinks s where s.sink = w.value), 0)
                      < outbox.sequence
           ))

-- name: purge_sinks
-- How far sinks had come that are not configured any more.
delete from sinks where sink not in (select value from json_each($1))

-- name: purge_dedupes
delete from dedupes
 where (policy, recipient, key) in (
           select policy, recipient, key from dedupes where until < $1 limit $2
       )

-- name: purge_dead_letters_beyond
-- The oldest of more than $1.
delete from dead_letters
 where id in (
           select id from dead_letters
            where id <= (select id from dead_letters order by id desc limit 1 offset $1)
            order by id limit $2
       )

-- name: purge_receipt_counts
delete from receipt_counts
 where (channel, minute) in (
           select channel, minute from receipt_counts where minute < $1 limit $2
       )

-- name: old_messages
-- Messages that finished long ago, and that no timer asks for.
select id from messages
 where created_at < $1 and finished_at is not null
   and not exists (select 1 from timers where message = messages.id)
 order by id limit $2

-- name: purge_history
delete from history where message = $1

-- name: purge_message_events
delete from message_events where message = $1

-- name: purge_joined_events
delete from joined_events where message = $1

-- name: purge_references
delete from provider_references where message = $1

-- name: purge_messages
delete from messages where id = $1

-- name: forget_withdrawn
-- Items that were withdrawn and are about to be purged.
update inboxes
   set forgotten = (
           select max(i.seq) from items i
            where i.recipient = inboxes.recipient and i.document is null and i.expires_at < $1
       )
 where recipient in (
           select recipient from items
            where document is null and expires_at < $1 order by expires_at limit $2
       )
   and forgotten < (
           select max(i.seq) from items i
            where i.recipient = inboxes.recipient and i.document is null and i.expires_at < $1
       )

-- name: walk_recipients
-- With the last message of each, by its id.
select id, seen_at, (select max(m.id) from messages m where m.recipient = r.id)
  from recipients r where id > $1 order by id limit $2

-- name: purge_counts
delete from counts
 where (key, day, slot) in (select key, day, slot from counts where day < $1 limit $2)
