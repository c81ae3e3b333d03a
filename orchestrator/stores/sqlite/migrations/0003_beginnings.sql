-- How a message began is one row: its event and the first lines of its history. Raw receipts are dropped in the order in
-- which they came, so they need no index.

alter table message_events add column lines blob not null default x'';
drop index raw_receipts_by_time;
