-- Codes overtake: at a provider's rate, and among the timers that are due.

alter table rates add column urgent_until timestamptz not null default '-infinity';

-- As before, and: while something urgent has got fewer tokens than it wanted, nothing else gets any. That ends when it has got
-- them, or after ``urgent_wait`` seconds and the time of a token: whoever asked may have died.
drop function take_tokens(text, double precision, integer);
create function take_tokens(of_provider text, rate double precision, wanted integer,
                            urgent boolean default false, burst_seconds double precision default 0.5,
                            urgent_wait double precision default 0.5,
                            out granted integer, out next_in double precision, out paused_for double precision)
language plpgsql as $$
declare
    bucket rates%rowtype;
    burst double precision := greatest(1.0, rate * burst_seconds);
    moment timestamptz;
begin
    insert into rates (provider, tokens, filled_at, paused_until)
        values (of_provider, burst, clock_timestamp(), '-infinity') on conflict do nothing;
    select * into bucket from rates where provider = of_provider for update;
    moment := clock_timestamp();
    bucket.tokens := least(burst, bucket.tokens + rate * greatest(0, extract(epoch from moment - bucket.filled_at)));
    paused_for := case when bucket.paused_until > moment then extract(epoch from bucket.paused_until - moment) else 0 end;
    granted := least(wanted, floor(bucket.tokens)::integer);
    if paused_for > 0 or (bucket.urgent_until > moment and not urgent) then
        granted := 0;
    end if;
    bucket.tokens := bucket.tokens - granted;
    if urgent then
        bucket.urgent_until := case when granted < wanted
                                    then moment + make_interval(secs => 1 / rate + urgent_wait) else '-infinity' end;
    end if;
    update rates set tokens = bucket.tokens, filled_at = moment, urgent_until = bucket.urgent_until
        where provider = of_provider;
    next_in := greatest(paused_for, (1 - bucket.tokens) / rate, 0);
end $$;

alter table timers add column lane smallint not null default 3;
create index timers_of_codes on timers (due_at, message) include (bucket) where lane = 0;
