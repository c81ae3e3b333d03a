-- Statements that both stores run as they are.

-- name: queues
-- A loose index scan: one step of the index for each queue, however many rows wait in it.
with recursive q (queue) as (
    select min(queue) from ready
    union all
    select (select min(queue) from ready where queue > q.queue) from q where q.queue is not null
)
select queue from q where queue is not null

-- name: recipient
select document from recipients where id = $1

-- name: recipients_after
select id, document from recipients where id > $1 order by id limit $2

-- name: unowned_addresses
select hash, document from addresses
 where hash > $1 and not exists (select 1 from owners where owners.hash = addresses.hash)
 order by hash limit $2

-- name: history_began
select lines from message_events where message = $1

-- name: dead_letters
select id, at, origin, reason, detail, headers, body, replayed_at from dead_letters
 where id < $1 and id >= $4 and ($3 = '' or reason = $3) order by id desc limit $2

-- name: open_dead_letters
select count(*) from dead_letters where replayed_at is null

-- name: dead_letter
select id, at, origin, reason, detail, headers, body, replayed_at from dead_letters where id = $1

-- name: resolve_dead_letter
update dead_letters set replayed_at = $1 where id = $2

-- name: delete_dead_letter
delete from dead_letters where id = $1

-- name: keep_version
insert into versions (kind, name, version, document) values ($1, $2, $3, $4) on conflict do nothing

-- name: version
select document from versions where kind = $1 and name = $2 and version = $3

-- name: versions
select name, version from versions where kind = $1

-- name: examined
insert into examined (bucket, digest) values ($1, $2)
    on conflict (bucket) do update set digest = excluded.digest

-- name: pauses
select kind, name, at, until, why, eased_at from pauses order by kind, name

-- name: secrets
select id, secret, created_at from secrets where purpose = $1 order by id desc

-- name: add_secret
insert into secrets (purpose, secret, created_at) values ($1, $2, $3)

-- name: add_secret_unless_since
-- If several processes share the store, the caller holds a lock.
insert into secrets (purpose, secret, created_at)
select $1, $2, $3
where not exists (select 1 from secrets where purpose = $1 and created_at >= $4)

-- name: add_api_key
insert into api_keys (id, hash, scopes, created_at, name, expires_at, rate_count, rate_ms)
values ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: api_key
select id, hash, scopes, created_at, revoked_at, name, expires_at, rate_count, rate_ms, used_at
  from api_keys where hash = $1

-- name: api_keys
select id, hash, scopes, created_at, revoked_at, name, expires_at, rate_count, rate_ms, used_at
  from api_keys order by created_at

-- name: use_api_key
update api_keys set used_at = $2 where id = $1 and (used_at is null or used_at < $2)

-- name: revoke_api_key
update api_keys set revoked_at = $1 where id = $2 and revoked_at is null

-- name: answer_hours
select hour, count from answer_hours

-- name: spent
select channel, millionths from spending where day = $1

-- name: count_receipts
insert into receipt_counts (channel, minute, sent, delivered) values ($1, $2, $3, $4)
    on conflict (channel, minute) do update
   set sent = receipt_counts.sent + excluded.sent,
       delivered = receipt_counts.delivered + excluded.delivered

-- name: receipt_counts
select channel, minute, sent, delivered from receipt_counts where minute >= $1

-- name: purge_secrets
-- Signing keys that were replaced before $1; the newest key is never among them.
delete from secrets
 where purpose = 'signing'
   and id < (select max(id) from secrets where purpose = 'signing' and created_at < $1)

-- name: purge_spending
delete from spending where day < $1

-- name: see_recipient
update recipients set seen_at = $2 where id = $1 and seen_at < $2

-- name: walk_contacts
select hash, channel, at from contacts
 where (hash, channel) > ($1, $2) order by hash, channel limit $3

-- name: purge_contact
delete from contacts where hash = $1 and channel = $2
