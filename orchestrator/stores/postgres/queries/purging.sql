-- Deletions of at most $2 rows that are older than $1.

-- name: purge_events
delete from events where ctid = any (array(
    select ctid from events where accepted_at < $1 limit $2
))

-- name: purge_dedupes
delete from dedupes where ctid = any (array(select ctid from dedupes where until < $1 limit $2))

-- name: purge_orphans
delete from orphans where ctid = any (array(select ctid from orphans where at < $1 limit $2))

-- name: purge_dead_letters
delete from dead_letters where ctid = any (array(
    select ctid from dead_letters where at < $1 limit $2
))

-- name: purge_dead_letters_beyond
-- The oldest of more than $1.
delete from dead_letters where ctid = any (array(
    select ctid from dead_letters
     where id <= (select id from dead_letters order by id desc limit 1 offset $1)
     order by id limit $2
))

-- name: purge_receipt_counts
delete from receipt_counts where ctid = any (array(
    select ctid from receipt_counts where minute < $1 limit $2
))

-- name: purge_counts
delete from counts where ctid = any (array(select ctid from counts where day < $1 limit $2))

-- name: fold_counts
-- Make the slots of days before $1 one, at most $2 rows. Rows that a batch is just adding to are
-- left for the next time. Slot 0 is taken last and in the order in which batches take it.
with held as (
    select day, key, slot from counts where slot <> 0 and day < $1
     order by day, key, slot limit $2 for update skip locked
), taken as (
    delete from counts c using held h
     where c.day = h.day and c.key = h.key and c.slot = h.slot
 returning c.*
)
insert into counts (day, key, slot, messages, sends, delivered, read, clicked, replied, converted,
                    unsubscribed, complained, cost)
select day, key, 0, sum(messages), sum(sends), sum(delivered), sum(read), sum(clicked), sum(replied), sum(converted), sum(unsubscribed), sum(complained), sum(cost)
  from taken group by day, key order by day, key
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

-- name: purge_outbox
-- Status events that no sink has taken for a week, whether it is configured or not; at most $1.
delete from outbox where ctid = any (array(
    select o.ctid
      from (select ctid, queued_at from outbox order by sequence limit $1) o
     where o.queued_at < now() - interval '7 days'
))

-- name: oldest_message
select min(id) from messages

-- name: forget_withdrawn
-- Items that were withdrawn and are about to be purged. Inboxes are locked in one order, as a batch
-- does it.
with held as (
    select recipient from inboxes
     where recipient in (
               select recipient from items
                where document is null and expires_at < $1 order by expires_at limit $2
           )
     order by recipient for update
)
update inboxes b set forgotten = i.seq
  from held
 cross join lateral (
           select max(seq) as seq from items
            where recipient = held.recipient and document is null and expires_at < $1
       ) i
 where b.recipient = held.recipient and b.forgotten < i.seq

-- name: walk_recipients
-- With the last message of each, by its id.
select id, seen_at, greatest(
           (select m.id from messages m where m.recipient = r.id order by m.id desc limit 1),
           (select f.id from finished f where f.recipient = r.id order by f.id desc limit 1)
       )
  from recipients r where id > $1 order by id limit $2
