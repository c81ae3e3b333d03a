-- Room in each page for what its rows will become: a message is written three times soon after it came, a new recipient once.
-- A row that stays in its page needs no new index entries.

alter table messages set (fillfactor = 40);
alter table recipients set (fillfactor = 65);
