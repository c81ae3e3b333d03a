-- Everything of one batch: messages by id ($1; those that the asker remembers with their versions, $9), unfinished ones of
-- recipients ($2), recipients ($3), events ($4 sources, $5 ids), dedupe windows ($6 policies, $7 recipients, $8 keys).
-- `kind` says which, `a` and `b` are its key. A live message's `version` is the transaction that wrote its row; one that is
-- remembered as it is comes without state and event.
with ids as (
    select id, known from unnest($1::text[], $9::text[]) as w (id, known)
    union all
    select m.id, '' from messages m where m.recipient = any ($2::text[]) and not m.id = any ($1::text[])
)
select 'm' as kind, i.id as a, coalesce(m.recipient, f.recipient) as b, m.xmin::text as version,
       case when m.xmin::text = i.known then null else coalesce(m.state, f.state) end as body, e.document as more,
       null::text[] as list, 0::bigint as until
  from ids i
  left join messages m on m.id = i.id
  left join lateral (select recipient, state from finished where id = i.id and m.id is null) f on true
  left join lateral (
      select document from message_events where message = i.id and m.xmin::text is distinct from i.known
  ) e on true
 where m.id is not null or f.state is not null
union all
select 'p', id, '', null, document, null, null, 0 from recipients where id = any ($3::text[])
union all
select 'e', e.source, e.id, null, e.digest, convert_to(e.status, 'UTF8'), e.messages, 0
  from unnest($4::text[], $5::text[]) as w (source, id) join events e on e.source = w.source and e.id = w.id
union all
select 'd', d.policy, d.recipient, null, convert_to(d.key, 'UTF8'), convert_to(d.message, 'UTF8'), null, d.until
  from unnest($6::text[], $7::text[], $8::text[]) as w (policy, recipient, key)
  join dedupes d on d.policy = w.policy and d.recipient = w.recipient and d.key = w.key
