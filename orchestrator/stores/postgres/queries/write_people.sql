-- The documents of recipients ($1, $2, $3) and addresses ($4, $5), who was written to last ($6…$10), and the providers'
-- references ($11…$14).
with people as (
    insert into recipients (id, bucket, document) select * from unnest($1::text[], $2::smallint[], $3::bytea[])
        on conflict (id) do update set document = excluded.document
), places as (
    insert into addresses (hash, document) select * from unnest($4::text[], $5::bytea[])
        on conflict (hash) do update set document = excluded.document
), contacted as (
    insert into contacts (hash, channel, message, attempt, at)
    select * from unnest($6::text[], $7::text[], $8::text[], $9::integer[], $10::bigint[])
        on conflict (hash, channel) do update
        set message = excluded.message, attempt = excluded.attempt, at = excluded.at
)
insert into provider_references (provider, reference, message, attempt)
select * from unnest($11::text[], $12::text[], $13::text[], $14::integer[]) on conflict do nothing
