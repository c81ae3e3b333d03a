-- What most batches do not write; both stores run these as they are.

-- name: add_orphans
insert into orphans (provider, reference, at, receipt) values ($1, $2, $3, $4)

-- name: drop_orphans
delete from orphans where provider = $1 and reference = $2

-- name: add_joined
insert into joined_events (message, number, data) values ($1, $2, $3)

-- name: copy_joined
-- To the message $1 from $2, whose retry it is.
insert into joined_events (message, number, data)
select cast($1 as text), number, data from joined_events where message = $2

-- name: add_dead_letters
-- A batch that is committed again after a lost answer has the same ids.
insert into dead_letters (id, at, origin, reason, detail, headers, body)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing

-- name: put_pauses
insert into pauses (kind, name, at, until, why, eased_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (kind, name) do update
   set at = excluded.at, until = excluded.until, why = excluded.why, eased_at = excluded.eased_at

-- name: add_hours
insert into answer_hours (hour, count) values ($1, $2)
    on conflict (hour) do update set count = answer_hours.count + excluded.count

-- name: add_spending
insert into spending (channel, day, millionths) values ($1, $2, $3)
    on conflict (channel, day) do update set millionths = spending.millionths + excluded.millionths
