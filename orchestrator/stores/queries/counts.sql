-- Counts for reports.

-- name: counts
-- The sums of a period by the columns of a group; the braces are filled in. It looks for the keys
-- first, and reads of each key the days of the period.
select {columns}
  from count_keys k cross join counts c
 where c.key = k.id and c.day >= $1 and c.day < $2{where}
 {group}

-- name: purge_count_keys
-- Keys that came up before the day $1 and that no row of counts has any more.
delete from count_keys
 where id in (
           select k.id from count_keys k
            where k.day < $1 and not exists (select 1 from counts c where c.key = k.id)
            order by k.day limit $2
       )
