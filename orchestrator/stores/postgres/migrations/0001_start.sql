-- Small hot tables for what is alive, partitions by time for what is only kept.
-- Times are UTC milliseconds. `bucket` is crc32(recipient) % 1024: the store can be split by it.
-- Ids of messages are ULIDs: compared byte by byte they are in order of time, so a partition is a range of ids.

create table events (                    -- what was accepted before: (source, id) is unique for as long as it is kept
    source text collate "C" not null,
    id text collate "C" not null,
    digest bytea not null,
    status text not null,
    messages text[] not null,
    accepted_at bigint not null,
    primary key (source, id)
);
create index events_by_time on events using brin (accepted_at) with (autosummarize = on);

create table messages (                  -- those that have not ended; updated in place (no column that changes is indexed)
    id text collate "C" primary key,
    bucket smallint not null,
    recipient text collate "C" not null,
    policy text not null,
    status text not null,
    created_at bigint not null,
    state bytea not null
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index messages_by_recipient on messages (recipient, id);

create table finished (                  -- those that have ended
    id text collate "C" primary key,
    bucket smallint not null,
    recipient text collate "C" not null,
    policy text not null,
    status text not null,
    created_at bigint not null,
    finished_at bigint not null,
    state bytea not null
) partition by range (id);
create index finished_by_recipient on finished (recipient, id);

create table message_events (            -- {"ce": attributes, "data": …} of each message, never changed
    message text collate "C" primary key,
    document bytea not null
) partition by range (message);

create sequence history_order cache 64;
create table history (                   -- JSON lines, appended
    message text collate "C" not null,
    position bigint not null default nextval('history_order'),
    at bigint not null,
    lines bytea not null,
    primary key (message, at, position)
) partition by range (message);

create table provider_references (       -- the providers' ids of our attempts
    provider text collate "C" not null,
    reference text collate "C" not null,
    message text collate "C" not null,
    attempt integer not null,
    primary key (provider, reference, message)
) partition by range (message);

create table raw_receipts (              -- webhooks as they came in, before anything was made of them
    at bigint not null,
    provider text not null,
    body bytea not null
) partition by range (at);

-- what waits ------------------------------------------------------------------------------------------------------

create table ready (                     -- the backlog, most urgent first
    queue text collate "C" not null,
    lane smallint not null,
    since bigint not null,
    message text collate "C" not null,
    step smallint not null,
    bucket smallint not null,
    primary key (queue, lane, since, message, step) include (bucket)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

create table timers (
    due_at bigint not null,
    message text collate "C" not null,
    bucket smallint not null,
    primary key (due_at, message) include (bucket)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

create table outbox (                    -- status events, one row for each sink that has not taken it
    sequence bigint generated always as identity primary key,
    sink text not null,
    bucket smallint not null,
    id text not null,
    recipient text not null,
    body bytea not null,
    queued_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index outbox_by_sink on outbox (sink, sequence);

-- people ----------------------------------------------------------------------------------------------------------

create table recipients (
    id text collate "C" primary key,
    bucket smallint not null,
    document bytea not null
) with (fillfactor = 80);

create table addresses (                 -- by keyed hash: marks, opt-outs, strikes, last word from its owner
    hash text collate "C" primary key,
    document bytea not null
) with (fillfactor = 80);

create table contacts (                  -- the last attempt to an address on a channel: whom a reply answers
    hash text collate "C" not null,
    channel text not null,
    message text collate "C" not null,
    attempt integer not null,
    at bigint not null,
    primary key (hash, channel)
) with (fillfactor = 80);

create table orphans (                   -- receipts whose attempt is not known yet
    provider text collate "C" not null,
    reference text collate "C" not null,
    at bigint not null,
    receipt bytea not null
);
create index orphans_by_reference on orphans (provider, reference);

create table dedupes (
    policy text collate "C" not null,
    recipient text collate "C" not null,
    key text collate "C" not null,
    message text not null,
    until bigint not null,
    primary key (policy, recipient, key)
);
create index dedupes_by_end on dedupes using brin (until) with (autosummarize = on);

-- operations ------------------------------------------------------------------------------------------------------

create table dead_letters (
    id text collate "C" primary key,
    at bigint not null,
    origin text not null,
    reason text not null,
    detail text not null,
    headers text not null,
    body bytea not null,
    replayed_at bigint
);

create table versions (                  -- what messages in flight were started with
    kind text not null,
    name text not null,
    version text not null,
    document bytea not null,
    primary key (kind, name, version)
);

create table secrets (
    id bigint generated always as identity primary key,
    purpose text not null,
    secret bytea not null,
    created_at bigint not null
);

create table api_keys (
    id text primary key,
    hash text not null unique,
    scopes text not null,
    created_at bigint not null,
    revoked_at bigint
);

create table spending (
    channel text not null,
    day text not null,
    millionths bigint not null,
    primary key (channel, day)
);

create table receipt_counts (            -- sends and deliveries by the minute of the send, for the outage watch
    channel text not null,
    minute bigint not null,
    sent bigint not null,
    delivered bigint not null,
    primary key (channel, minute)
);

-- the processes of this installation; nothing in these two is worth keeping through a crash of the database ----------

create unlogged table members (
    id text primary key,
    seen_at timestamptz not null
);

create unlogged table rates (            -- one token bucket a provider
    provider text primary key,
    tokens double precision not null,
    filled_at timestamptz not null,
    paused_until timestamptz not null
);

-- Take up to `wanted` tokens: how many there were, and in how many seconds there is another one or the pause ends.
create function take_tokens(of_provider text, rate double precision, wanted integer,
                            out granted integer, out next_in double precision, out paused_for double precision)
language plpgsql as $$
declare
    bucket rates%rowtype;
    burst double precision := greatest(1.0, rate);
    moment timestamptz;
begin
    insert into rates values (of_provider, burst, clock_timestamp(), '-infinity') on conflict do nothing;
    select * into bucket from rates where provider = of_provider for update;
    moment := clock_timestamp();
    bucket.tokens := least(burst, bucket.tokens + rate * greatest(0, extract(epoch from moment - bucket.filled_at)));
    paused_for := case when bucket.paused_until > moment then extract(epoch from bucket.paused_until - moment) else 0 end;
    granted := case when paused_for > 0 then 0 else least(wanted, floor(bucket.tokens)::integer) end;
    bucket.tokens := bucket.tokens - granted;
    update rates set tokens = bucket.tokens, filled_at = moment where provider = of_provider;
    next_in := greatest(paused_for, (1 - bucket.tokens) / rate, 0);
end $$;
