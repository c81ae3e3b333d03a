-- Pools of codes, in this store's own way.

-- name: free_codes
select hash, code from codes where pool = $1 and code is not null order by position limit $2

-- name: known_codes
select hash, source from codes where pool = $1 and hash in (select value from json_each($2))

-- name: add_codes
-- One of the two lists is a table of its own, because `json_each` is read from its start for each row that it is joined to.
with given as materialized (select key, value from json_each($4))
insert or ignore into codes (pool, source, hash, code)
select $1, $2, h.value, g.value from json_each($3) h join given g on g.key = h.key
 order by h.key

-- name: count_codes
-- Right after ``add_codes``: how many rows that one has added.
update code_imports set codes = codes + changes() where pool = $1 and source = $2
