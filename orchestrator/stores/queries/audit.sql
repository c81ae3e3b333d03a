-- The audit log.

-- name: last_audit
select sequence, hash from audit order by sequence desc limit 1

-- name: find_audit
select sequence from audit where id = $1

-- name: add_audit
insert into audit (sequence, id, at, actor, action, subject, details, previous, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: audit_after
select sequence, id, at, actor, action, subject, details, previous, hash from audit
 where sequence > $1 order by sequence limit $2

-- name: audit_entries
select sequence, id, at, actor, action, subject, details, previous, hash from audit
 where id < $1 and id >= $2 and ($3 = '' or actor = $3) and ($4 = '' or action = $4)
   and ($5 = '' or subject = $5)
 order by id desc limit $6

-- name: purge_audit
-- Never the last entry: the next one follows it.
delete from audit
 where sequence in (
           select sequence from audit
            where at < $1 and sequence < (select max(sequence) from audit)
            order by sequence limit $2
       )
   and at < $1
