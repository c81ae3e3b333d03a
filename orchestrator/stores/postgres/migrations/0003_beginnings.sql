-- How a message began is one row: its event and the first lines of its history.

alter table message_events add column lines bytea not null default '';
