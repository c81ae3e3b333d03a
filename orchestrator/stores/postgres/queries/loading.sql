-- What a batch loads, in three statements.

-- name: named
-- The messages that references ($1 providers, $2 references), contacts ($3 hashes, $4 channels),
-- ids ($5) and unfinished messages of recipients ($6) name, each with its recipient, which never
-- changes: nothing is locked yet.
with named as (
    select 'r' as kind, r.provider as a, r.reference as b, r.message, r.attempt, '' as written_to
      from unnest($1::text[], $2::text[]) as w (provider, reference)
      join provider_references r on r.provider = w.provider and r.reference = w.reference
    union all
    select 'c', c.hash, c.channel, c.message, c.attempt, c.written_to
      from unnest($3::text[], $4::text[]) as w (hash, channel)
      join contacts c on c.hash = w.hash and c.channel = w.channel
    union all
    select 'm', '', '', w.id, 0, '' from unnest($5::text[]) as w (id)
)
select n.kind, n.a, n.b, n.message, n.attempt, n.written_to, coalesce(m.recipient, f.recipient) as recipient
  from named n
  left join messages m on m.id = n.message
  left join lateral (select recipient from finished where id = n.message and m.id is null) f on true

-- name: load
-- Everything of one batch: messages by id ($1; those in the cache of the caller with their versions,
-- $6), unfinished ones of recipients ($2), recipients ($3), events ($4 sources, $5 ids). `kind` says
-- which, `a` and `b` are its key. A live message's `version` is the transaction that wrote its row;
-- one that is cached as it is comes without state and event. Of pauses, all that there are.
with ids as (
    select id, known from unnest($1::text[], $6::text[]) as w (id, known)
    union all
    select m.id, '' from messages m where m.recipient = any ($2::text[]) and not m.id = any ($1::text[])
)
select 'm' as kind, i.id as a, coalesce(m.recipient, f.recipient) as b, m.xmin::text as version,
       case when m.xmin::text = i.known then null else coalesce(m.state, f.state) end as body, e.document as more,
       null::text[] as list
  from ids i
  left join messages m on m.id = i.id
  left join lateral (select recipient, state from finished where id = i.id and m.id is null) f on true
  left join lateral (
      select document from message_events where message = i.id and m.xmin::text is distinct from i.known
  ) e on true
 where m.id is not null or f.state is not null
union all
select 'p', id, '', null, document, null, null from recipients where id = any ($3::text[])
union all
select 'e', e.source, e.id, null, e.digest, convert_to(e.status, 'UTF8'), e.messages
  from unnest($4::text[], $5::text[]) as w (source, id) join events e on e.source = w.source and e.id = w.id
union all
select 'h', kind, name, at::text, null, convert_to(why, 'UTF8'), array[until::text, eased_at::text] from pauses

-- name: load_addresses
-- The second half of a batch: address documents ($1 hashes), receipts that came before their
-- reference ($2 providers, $3 references), references that have become known meanwhile ($4
-- providers, $5 references), and dedupe windows ($6 policies, $7 recipients, $8 keys), which end `at`.
select 'a' as kind, hash as a, '' as b, document as body, 0::bigint as at, null as key, null as message
  from addresses where hash = any ($1::text[])
union all
select 'o', o.provider, o.reference, o.receipt, o.at, null, null
  from unnest($2::text[], $3::text[]) as w (provider, reference)
  join orphans o on o.provider = w.provider and o.reference = w.reference
union all
select 'r', r.provider, r.reference, null, 0, null, null
  from unnest($4::text[], $5::text[]) as w (provider, reference)
  join provider_references r on r.provider = w.provider and r.reference = w.reference
union all
select 'd', d.policy, d.recipient, coalesce(m.state, f.state), d.until, d.key, d.message
  from unnest($6::text[], $7::text[], $8::text[]) as w (policy, recipient, key)
  join dedupes d on d.policy = w.policy and d.recipient = w.recipient and d.key = w.key
  left join messages m on m.id = d.message
  left join finished f on f.id = d.message

-- name: journeys_whose
-- The recipients of journeys, which never change: nothing is locked yet.
select recipient from journeys where id = any ($1::text[])

-- name: load_journeys
-- Journeys by id ($1), and the running ones of recipients ($2).
select id, bucket, recipient, journey, key, status, created_at, finished_at, due_at, state, events
  from journeys
 where id = any ($1::text[]) or (recipient = any ($2::text[]) and finished_at is null) order by id

-- name: load_entered
-- What recipients ($1) have begun of journeys ($2) with keys ($3).
select e.recipient, e.journey, e.key, e.id
  from unnest($1::text[], $2::text[], $3::text[]) as w (recipient, journey, key)
  join entered e on e.recipient = w.recipient and e.journey = w.journey and e.key = w.key

-- name: load_digests
-- The unfinished messages that have opened digests ($1 policies, $2 recipients, $3 keys).
select d.policy, d.recipient, d.key, m.id, m.state, e.document
  from unnest($1::text[], $2::text[], $3::text[]) as w (policy, recipient, key)
  join dedupes d on d.policy = w.policy and d.recipient = w.recipient and d.key = w.key
  join messages m on m.id = d.message
  left join message_events e on e.message = m.id
