-- What nearly every batch writes, in one statement. Its parts touch different tables or different rows, so their order
-- does not matter. Live messages that are new ($1…$7) or have changed ($8 ids, $9 statuses, $10 states); those that have
-- ended ($11…$18), which leave the live table; history ($19 messages, $20 times, $21 lines); how new messages began ($22
-- messages, $23 events, $24 lines); backlog rows to remove ($25…$29) and add ($30…$35); timers to remove ($36, $37) and
-- add ($38…$41). Returns the version of the live messages that it wrote: this transaction.
with created as (
    insert into messages (id, bucket, recipient, policy, status, created_at, state)
    select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[])
), changed as (
    update messages m set status = w.status, state = w.state
      from unnest($8::text[], $9::text[], $10::bytea[]) as w (id, status, state) where m.id = w.id
), left_live as (
    delete from messages where id = any ($11::text[])
), ended as (
    insert into finished (id, bucket, recipient, policy, status, created_at, finished_at, state)
    select * from unnest($11::text[], $12::smallint[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],
                         $18::bytea[])
        on conflict (id) do update set status = excluded.status, finished_at = excluded.finished_at, state = excluded.state
), lines as (
    insert into history (message, at, lines) select * from unnest($19::text[], $20::bigint[], $21::bytea[])
), origins as (
    insert into message_events (message, document, lines) select * from unnest($22::text[], $23::bytea[], $24::bytea[])
), ready_out as (
    delete from ready r using unnest($25::text[], $26::smallint[], $27::bigint[], $28::text[], $29::smallint[])
        as w (queue, lane, since, message, step)
     where r.queue = w.queue and r.lane = w.lane and r.since = w.since and r.message = w.message and r.step = w.step
), ready_in as (
    insert into ready (queue, lane, since, message, step, bucket)
    select * from unnest($30::text[], $31::smallint[], $32::bigint[], $33::text[], $34::smallint[], $35::smallint[])
        on conflict do nothing
), timers_out as (
    delete from timers t using unnest($36::bigint[], $37::text[]) as w (due_at, message)
     where t.due_at = w.due_at and t.message = w.message
), timers_in as (
    insert into timers (due_at, message, bucket, lane)
    select * from unnest($38::bigint[], $39::text[], $40::smallint[], $41::smallint[])
        on conflict do nothing
)
select pg_current_xact_id()::xid::text
