-- What comes in: events ($1…$6, their message ids as JSON arrays), raw receipts ($7…$9), dedupe windows ($10…$14) and status events
-- ($15 sinks; $16 ids, $17 buckets, $18 recipients, $19 bodies in their order).
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
