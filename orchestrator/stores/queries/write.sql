-- What nearly every batch writes, in one statement. Its parts touch different tables or different rows, so their order
-- does not matter. Live messages that are new ($1…$7) or have changed ($8 ids, $9 statuses, $10 states); those that have
-- ended ($11…$18), which leave the live table; history ($19 messages, $20 times, $21 lines); events of new messages
-- ($22, $23); backlog rows to remove ($24…$28) and add ($29…$34); timers to remove ($35, $36) and add ($37…$40). Returns
-- the version of the live messages that it wrote: this transaction.
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
    insert into message_events (message, document) select * from unnest($22::text[], $23::bytea[])
), ready_out as (
    delete from ready r using unnest($24::text[], $25::smallint[], $26::bigint[], $27::text[], $28::smallint[])
        as w (queue, lane, since, message, step)
     where r.queue = w.queue and r.lane = w.lane and r.since = w.since and r.message = w.message and r.step = w.step
), ready_in as (
    insert into ready (queue, lane, since, message, step, bucket)
    select * from unnest($29::text[], $30::smallint[], $31::bigint[], $32::text[], $33::smallint[], $34::smallint[])
        on conflict do nothing
), timers_out as (
    delete from timers t using unnest($35::bigint[], $36::text[]) as w (due_at, message)
     where t.due_at = w.due_at and t.message = w.message
), timers_in as (
    insert into timers (due_at, message, bucket, lane)
    select * from unnest($37::bigint[], $38::text[], $39::smallint[], $40::smallint[])
        on conflict do nothing
)
select pg_current_xact_id()::xid::text
