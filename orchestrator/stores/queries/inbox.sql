-- Inboxes and their items; both stores run these as they are.

-- name: inbox
select seq, forgotten,
       (select count(*) from items
         where recipient = $1 and expires_at > $2
           and seen_at is null and archived_at is null and document is not null),
       (select count(*) from items
         where recipient = $1 and expires_at > $2
           and read_at is null and archived_at is null and document is not null)
  from inboxes where recipient = $1

-- name: items
select id, number, seq, message, attempt, provider, category, pinned,
       created_at, expires_at, delivered_at, seen_at, read_at, clicked_at, archived_at, document
  from items
 where recipient = $1 and expires_at > $2 and document is not null and (pinned, number) < ($3, $4)
   and {where}
 order by pinned desc, number desc limit {limit}

-- name: item
select id, number, seq, message, attempt, provider, category, pinned,
       created_at, expires_at, delivered_at, seen_at, read_at, clicked_at, archived_at, document
  from items where recipient = $1 and id = $2 and expires_at > $3 and document is not null

-- name: changed_items
select id, number, seq, message, attempt, provider, category, pinned,
       created_at, expires_at, delivered_at, seen_at, read_at, clicked_at, archived_at, document
  from items where recipient = $1 and seq > $2 and expires_at > $3 order by seq limit $4

-- name: count_items_marked
-- The next number of the inbox, if there is anything to mark. Its row is locked until the items are
-- marked, so that numbers become visible in their order.
update inboxes set seq = seq + 1
 where recipient = $1
   and exists (
           select 1 from items where recipient = $1 and {where} and document is not null
       )

-- name: mark_items
update items set {given}, seq = (select seq from inboxes where recipient = $1)
 where recipient = $1 and {where} and document is not null

-- name: hold_inbox
-- Lock an inbox, so that two that note something about its items never wait for each other.
update inboxes set seq = seq where recipient = $1

-- name: note_delivered
update items set delivered_at = $3 where recipient = $1 and id = $2 and delivered_at is null

-- name: open_inbox
insert into inboxes (recipient, seq, forgotten) values ($1, $2, $2) on conflict do nothing

-- name: count_item
-- An item that is there already, because its batch was committed again, gets no second number.
update inboxes set seq = seq + 1
 where recipient = $1 and not exists (select 1 from items where id = $2)

-- name: add_item
insert into items (id, recipient, number, seq, message, attempt, provider, category, pinned,
                   created_at, expires_at, document)
select $1, $2, i.seq, i.seq, $3, $4, $5, $6, $7, $8, $9, $10
  from inboxes i where i.recipient = $2
    on conflict (id) do nothing

-- name: forget_items
-- Of an inbox that has more than $2 items the oldest are dropped: a page that has missed a change of
-- one of them must read the whole list again.
update inboxes
   set forgotten = (
           select max(seq) from items
            where recipient = $1
              and number <= (
                      select number from items
                       where recipient = $1 order by number desc limit 1 offset $2
                  )
       )
 where recipient = $1
   and forgotten < (
           select max(seq) from items
            where recipient = $1
              and number <= (
                      select number from items
                       where recipient = $1 order by number desc limit 1 offset $2
                  )
       )

-- name: drop_items
delete from items
 where recipient = $1
   and number <= (
           select number from items where recipient = $1 order by number desc limit 1 offset $2
       )

-- name: count_item_read
update inboxes set seq = seq + 1
 where recipient = $1
   and exists (
           select 1 from items
            where recipient = $1 and id = $2 and read_at is null and document is not null
       )

-- name: read_item
update items
   set seen_at = coalesce(seen_at, $3), read_at = $3,
       seq = (select seq from inboxes where recipient = $1)
 where recipient = $1 and id = $2 and read_at is null and document is not null

-- name: count_item_withdrawn
update inboxes set seq = seq + 1
 where recipient = $1
   and exists (
           select 1 from items where recipient = $1 and id = $2 and document is not null
       )

-- name: withdraw_item
-- What is left of it says that it is gone, until $3.
update items
   set document = null, expires_at = $3, seq = (select seq from inboxes where recipient = $1)
 where recipient = $1 and id = $2 and document is not null

-- name: erase_items
delete from items where recipient = $1

-- name: erase_inbox
delete from inboxes where recipient = $1

-- name: purge_items
-- A page knows when an item expires.
delete from items
 where id in (select id from items where expires_at < $1 order by expires_at limit $2)
