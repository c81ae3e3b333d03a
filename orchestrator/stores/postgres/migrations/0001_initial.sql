-- The whole schema: small hot tables for what is alive, partitions by time for what is only kept.
-- Times are UTC milliseconds. `bucket` is crc32(recipient) % 1024: the store can be split by it.
-- Ids of messages are ULIDs: compared byte by byte they are in order of time, so a partition is a
-- range of ids. "Batch" below is the engine's commit; "purge" is the regular deletion of rows and
-- partitions whose time is over.

-- Events that were accepted: a repeat is recognised while its row is here. Written by batches;
-- purged after `retention.events`.
create table events (
    source text collate "C" not null,
    id text collate "C" not null,
    digest bytea not null,
    status text not null,
    messages text[] not null,
    accepted_at bigint not null,
    primary key (source, id)
);
create index events_by_time on events using brin (accepted_at) with (autosummarize = on);

-- Messages that have not finished. Written by batches, in place: no column that changes is indexed,
-- and the pages have room for three versions of a row, so that an update needs no new index
-- entries. A row moves to `finished`.
create table messages (
    id text collate "C" primary key,
    bucket smallint not null,
    recipient text collate "C" not null,
    policy text not null,
    status text not null,
    created_at bigint not null,
    state bytea not null
) with (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index messages_by_recipient on messages (recipient, id);

-- Messages that have finished. Written by batches; a week's partition is dropped after
-- `retention.messages`, once no message of that week is alive.
create table finished (
    id text collate "C" primary key,
    bucket smallint not null,
    recipient text collate "C" not null,
    policy text not null,
    status text not null,
    created_at bigint not null,
    finished_at bigint not null,
    state bytea not null,
    reason text
) partition by range (id);
create index finished_by_recipient on finished (recipient, id);
create index finished_by_reason on finished (reason, id) where reason is not null;

-- How a message began: {"ce": attributes, "data": …} and the first lines of its history. Written
-- once, by the batch that creates the message; dropped with `finished`, or deleted when the
-- recipient is erased.
create table message_events (
    message text collate "C" primary key,
    document bytea not null,
    lines bytea not null
) partition by range (message);

-- The other lines of a message's history (JSON lines). Appended by batches; dropped and deleted
-- like message_events. Positions grow in the order of the commits about a message, whatever clocks
-- say: its recipient is locked, and no session keeps positions in advance.
create sequence history_order;
create table history (
    message text collate "C" not null,
    position bigint not null default nextval('history_order'),
    at bigint not null,
    lines bytea not null,
    primary key (message, position)
) partition by range (message);

-- The data (JSON) of the events that have joined a message with a digest, beside its own. Written by
-- batches; dropped and deleted like message_events.
create table joined_events (
    message text collate "C" not null,
    number integer not null,
    data bytea not null,
    primary key (message, number)
) partition by range (message);

-- Whose profile has an address that is one plain text (phones, mailboxes, providers' ids), by its
-- keyed hash. Written by batches with the profile; deleted when the profile loses the address.
create table owners (
    hash text collate "C" not null,
    recipient text collate "C" not null,
    primary key (hash, recipient)
);

-- The providers' ids of our attempts. Written by batches; dropped with `finished`.
create table provider_references (
    provider text collate "C" not null,
    reference text collate "C" not null,
    message text collate "C" not null,
    attempt integer not null,
    primary key (provider, reference, message)
) partition by range (message);

-- Outlines of webhooks (``channels.outline``). Written by batches; a week's partition is
-- dropped after `retention.receipts`.
create table raw_receipts (
    at bigint not null,
    provider text not null,
    body bytea not null
) partition by range (at);

-- what waits ---

-- The backlog: steps that wait for a provider, the most urgent first. Written by batches; a row
-- goes when its step is sent, held or over.
create table ready (
    queue text collate "C" not null,
    lane smallint not null,
    since bigint not null,
    message text collate "C" not null,
    step smallint not null,
    bucket smallint not null,
    primary key (queue, lane, since, message, step) include (bucket)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- When a message, or a journey, is to be looked at again; at most one row for each. Written by
-- batches; lane 0 is OTP.
create table timers (
    due_at bigint not null,
    message text collate "C" not null,
    bucket smallint not null,
    lane smallint not null default 3,
    primary key (due_at, message) include (bucket)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index otp_timers on timers (due_at, message) include (bucket) where lane = 0;

-- Status events, one row for each sink that has not taken it. Written by batches; deleted by the
-- sinks' loops, and after a week in any case.
create table outbox (
    sequence bigint generated always as identity primary key,
    sink text not null,
    bucket smallint not null,
    id text not null,
    recipient text not null,
    body bytea not null,
    queued_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index outbox_by_sink on outbox (sink, sequence);

-- people ---

-- Profiles, consents and cap usage. Written by batches and the API; kept until the recipient is
-- erased, or not heard of for `retention.profiles`.
create table recipients (
    id text collate "C" primary key,
    bucket smallint not null,
    document bytea not null,
    seen_at bigint not null default 0     -- the last change, or a message that the purge has seen
) with (fillfactor = 65);

-- Suppressions, opt-outs, bounces and the last inbound message, by the keyed hash of an address.
-- Written by batches; one row for each address that ever had one of them.
create table addresses (
    hash text collate "C" primary key,
    document bytea not null
) with (fillfactor = 80);

-- The last attempt to an address on a channel, which a reply answers. A provider may know that
-- address by another one: then both have a row, and `written_to` is the one that was written to.
-- Written by batches; one row an address and channel.
create table contacts (
    hash text collate "C" not null,
    channel text not null,
    message text collate "C" not null,
    attempt integer not null,
    written_to text collate "C" not null,
    at bigint not null,
    primary key (hash, channel)
) with (fillfactor = 80);

-- The inbox of a person: the number of its last change, and up to which one they are no longer all
-- known. It begins with the time at which it is opened, so that one which comes after an erasure
-- never repeats a number. Written by batches and the API; one row for each person who ever had an
-- item.
create table inboxes (
    recipient text collate "C" primary key,
    seq bigint not null,
    forgotten bigint not null
) with (fillfactor = 80);

-- Items of inboxes. Written by batches and the API; purged once they have expired, and of one person
-- the oldest of more than 10 000.
create table items (
    id text collate "C" primary key,
    recipient text collate "C" not null,
    number bigint not null,              -- the order in which they came
    seq bigint not null,                 -- of its last change
    message text collate "C" not null,
    attempt integer not null,
    provider text collate "C" not null,
    category text collate "C" not null,
    pinned smallint not null,            -- 0 or 1
    created_at bigint not null,
    expires_at bigint not null,
    delivered_at bigint,
    seen_at bigint,
    read_at bigint,
    clicked_at bigint,
    archived_at bigint,
    document bytea                       -- its content (JSON); null once it is withdrawn
) with (fillfactor = 80);
create unique index items_in_order on items (recipient, pinned, number);
create index items_by_number on items (recipient, number);
create index items_by_change on items (recipient, seq);
create index items_by_end on items (expires_at);
create index items_unseen on items (recipient, expires_at)
 where seen_at is null and archived_at is null and document is not null;
create index items_unread on items (recipient, expires_at)
 where read_at is null and archived_at is null and document is not null;

-- Receipts that came before the answer with their reference. Written by batches; deleted when they
-- have found their attempt, else purged after ten days.
create table orphans (
    provider text collate "C" not null,
    reference text collate "C" not null,
    at bigint not null,
    receipt bytea not null
);
create index orphans_by_reference on orphans (provider, reference);

-- Windows in which a policy makes no second message for the same key. Written by batches; purged
-- when they have ended.
create table dedupes (
    policy text collate "C" not null,
    recipient text collate "C" not null,
    key text collate "C" not null,
    message text not null,
    until bigint not null,
    primary key (policy, recipient, key)
);
create index dedupes_by_end on dedupes using brin (until) with (autosummarize = on);

-- One row a journey of a person. Written by batches; purged `retention.messages` after its end,
-- deleted when the recipient is erased.
create table journeys (
    id text collate "C" primary key,     -- J and a ULID
    bucket smallint not null,
    recipient text collate "C" not null,
    journey text collate "C" not null,
    key text not null,
    status text not null,
    created_at bigint not null,
    finished_at bigint,
    due_at bigint,
    state bytea not null,
    events bytea not null                -- {path of a step: {"ce": attributes, "data": …}}
) with (fillfactor = 60);
create index journeys_by_recipient on journeys (recipient, id);
create index journeys_by_name on journeys (journey, id);
create index journeys_running on journeys (id) where finished_at is null;
create index journeys_running_by_name on journeys (journey) where finished_at is null;
create index journeys_running_of on journeys (recipient, id) where finished_at is null;
create index journeys_by_end on journeys (finished_at, id) where finished_at is not null;

-- The history of a journey (JSON lines). Appended by batches; deleted with the journey. Positions
-- grow in the order of the commits about a journey: its recipient is locked.
create table journey_history (
    position bigint generated always as identity primary key,
    journey text collate "C" not null,
    lines bytea not null
);
create index journey_history_by_journey on journey_history (journey, position);

-- Who has begun a journey that nobody begins twice (`again: never`), by the keyed hash of its key.
-- Written by batches; kept until the recipient is erased or forgotten.
create table entered (
    recipient text collate "C" not null,
    journey text collate "C" not null,
    key text collate "C" not null,
    id text not null,
    at bigint not null,
    primary key (recipient, journey, key)
);

-- codes ---

-- How many people have met each arm of an experiment, and with how many it has succeeded. Added to by
-- batches; one row an arm.
create table exposures (
    experiment text collate "C" not null,
    arm text collate "C" not null,
    exposed bigint not null,
    succeeded bigint not null,
    primary key (experiment, arm)
);

-- Codes of pools. `code` stands there as it is while it is free; once a message has it, only its keyed
-- hash stays. Written by imports and batches; one row for each code that was ever imported, so that
-- none is given twice.
create table codes (
    position bigint generated always as identity,
    pool text collate "C" not null,
    hash text collate "C" not null,
    source text collate "C" not null,
    code text collate "C",
    message text collate "C",
    taken_at bigint,
    primary key (hash, pool)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index codes_free on codes (pool, position) where code is not null;

-- Where codes came from. Written by imports; one row for each file that was ever imported.
create table code_imports (
    pool text collate "C" not null,
    source text collate "C" not null,
    at bigint not null,
    codes bigint not null,
    primary key (pool, source)
);

-- operations ---

-- Input that could not be processed. Written by batches and replays; purged after
-- `retention.dead_letters`.
create table dead_letters (
    id text collate "C" primary key,
    at bigint not null,
    origin text not null,
    reason text not null,
    detail text not null,
    headers text not null,               -- JSON object
    body bytea not null,
    replayed_at bigint
);
create index open_dead_letters on dead_letters (id) where replayed_at is null;

-- Policies and governance as messages were decided with. Written at every start and reload; a row
-- for each version.
create table versions (
    kind text not null,
    name text not null,
    version text not null,
    document bytea not null,
    primary key (kind, name, version)
);

-- Under which configuration the held messages of each bucket were asked again last. Written after
-- each round of the re-examination; a row for each bucket.
create table examined (
    bucket smallint primary key,
    digest text not null
);

-- Keys that Kaskad made for itself: signing, pepper. Written at the first start and by `kaskad keys
-- rotate`.
create table secrets (
    id bigint generated always as identity primary key,
    purpose text not null,
    secret bytea not null,
    created_at bigint not null
);

-- API keys, as hashes. Written by operators; revoked keys stay.
create table api_keys (
    id text primary key,
    hash text not null unique,
    scopes text not null,                -- separated by commas
    created_at bigint not null,
    revoked_at bigint,
    name text not null,                  -- "" if it has none
    expires_at bigint,
    rate_count bigint,                   -- null: `http.key_rate`
    rate_ms bigint,
    used_at bigint                     -- written once a minute at most
);

-- Who has changed the installation or looked at personal data; `hash` is over the entry and the one
-- before. Written with the change; purged after `retention.audit`, but for the last entry.
create table audit (
    sequence bigint primary key,
    id text not null unique,             -- ULID
    at bigint not null,
    actor text not null,
    action text not null,
    subject text not null,               -- people as keyed hashes
    details text not null,               -- JSON object
    previous text not null,
    hash text not null
);

-- What operators have paused. Written by `kaskad pause` and `kaskad resume`, read by each batch; a row
-- for each provider, channel or policy that was ever paused.
create table pauses (
    kind text not null,
    name text not null,
    at bigint not null,
    until bigint not null,
    why text not null,
    eased_at bigint,
    primary key (kind, name)
);

-- Money spent, for caps on spending. Added to by batches; one row a channel and day.
create table spending (
    channel text not null,
    day text not null,
    millionths bigint not null,
    primary key (channel, day)
);

-- How often people have answered at each hour of their day, for policies that wait for the best one.
-- Added to by batches; 24 rows.
create table answer_hours (
    hour integer primary key,
    count bigint not null
);

-- Sends and deliveries by the minute of the send, for the detection of outages. Added to every few
-- seconds; purged after two days.
create table receipt_counts (
    channel text not null,
    minute bigint not null,
    sent bigint not null,
    delivered bigint not null,
    primary key (channel, minute)
);

-- Sums for reports: a row for each day, key and process (`slot`), so that no two wait for each other.
-- Added to by batches, in place; the slots of past days are made one by the purge, and purged after
-- `retention.counts`.
create table counts (
    key bigint not null,                 -- id of count_keys
    day integer not null,                -- 20261121
    slot smallint not null,
    messages bigint not null,
    sends bigint not null,
    delivered bigint not null,
    read bigint not null,
    clicked bigint not null,
    replied bigint not null,
    converted bigint not null,
    unsubscribed bigint not null,
    complained bigint not null,
    cost bigint not null,                -- millionths of the currency
    primary key (key, day, slot)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index counts_by_day on counts (day);
create index counts_to_fold on counts (day) where slot <> 0;

-- What the keys of `counts` stand for; `id` is a hash of the rest. Written by batches; purged when no
-- row of `counts` has it.
create table count_keys (
    id bigint primary key,
    day integer not null,                -- on which it came up
    policy text not null,
    version text not null,
    message_class text not null,
    journey text not null,
    stage text not null,
    arm text not null,
    channel text not null,
    status text not null,
    reason text not null,
    currency text not null
);
create index count_keys_by_day on count_keys (day);

-- the processes of this installation; nothing in these two is worth keeping through a crash of the database ----------

-- Processes that share this store. Each writes its row every few seconds; rows that are five
-- minutes old are deleted.
create unlogged table members (
    id text primary key,
    release text not null,
    seen_at timestamptz not null
);

-- One token bucket a provider. Written by take_tokens and by pauses. Nothing but OTP gets tokens
-- before `urgent_until`.
create unlogged table rates (
    provider text primary key,
    tokens double precision not null,
    filled_at timestamptz not null,
    paused_until timestamptz not null,
    urgent_until timestamptz not null default '-infinity'
);

-- Take up to `wanted` tokens: how many there were, and in how many seconds there is another one or
-- the pause ends. While something urgent has got fewer tokens than it wanted, nothing else gets
-- any. That ends when it has got them, or after `urgent_wait` seconds and the time of a token: the
-- process that asked may have died.
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
