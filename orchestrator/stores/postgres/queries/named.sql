-- The messages that references ($1 providers, $2 references), contacts ($3 hashes, $4 channels), ids ($5) and unfinished
-- messages of recipients ($6) name, each with its recipient, which never changes: nothing is locked yet.
with named as (
    select 'r' as kind, r.provider as a, r.reference as b, r.message, r.attempt
      from unnest($1::text[], $2::text[]) as w (provider, reference)
      join provider_references r on r.provider = w.provider and r.reference = w.reference
    union all
    select 'c', c.hash, c.channel, c.message, c.attempt
      from unnest($3::text[], $4::text[]) as w (hash, channel)
      join contacts c on c.hash = w.hash and c.channel = w.channel
    union all
    select 'm', '', '', w.id, 0 from unnest($5::text[]) as w (id)
)
select n.kind, n.a, n.b, n.message, n.attempt, coalesce(m.recipient, f.recipient) as recipient
  from named n
  left join messages m on m.id = n.message
  left join lateral (select recipient from finished where id = n.message and m.id is null) f on true
