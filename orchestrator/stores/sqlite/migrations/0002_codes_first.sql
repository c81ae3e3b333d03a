-- Codes overtake among the timers that are due.

alter table timers add column lane integer not null default 3;
create index timers_of_codes on timers (due_at, message) where lane = 0;
