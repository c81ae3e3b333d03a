-- The second half of a batch: address documents ($1 hashes), receipts that came before their reference ($2 providers,
-- $3 references), and references that have become known meanwhile ($4 providers, $5 references).
select 'a' as kind, hash as a, '' as b, document as body, 0::bigint as at from addresses where hash = any ($1::text[])
union all
select 'o', o.provider, o.reference, o.receipt, o.at
  from unnest($2::text[], $3::text[]) as w (provider, reference)
  join orphans o on o.provider = w.provider and o.reference = w.reference
union all
select 'r', r.provider, r.reference, null, 0
  from unnest($4::text[], $5::text[]) as w (provider, reference)
  join provider_references r on r.provider = w.provider and r.reference = w.reference
