-- One document row a message, a key row an event, small hot tables for what waits; what never changes stands elsewhere, so
-- that a change rewrites little.
-- Times are UTC milliseconds. `bucket` is crc32(recipient) % 1024: the store can be split by it.

create table events (
    source text not null,
    id text not null,
    digest blob not null,
    status text not null,
    messages text not null,              -- JSON array of message ids
    accepted_at integer not null,
    primary key (source, id)
) without rowid;

create index events_by_time on events (accepted_at);

create table raw_receipts (              -- webhooks as they came in, before anything was made of them
    at integer not null,
    provider text not null,
    body blob not null
);
create index raw_receipts_by_time on raw_receipts (at);

create table messages (
    id text primary key,                 -- ULID: in order of time
    bucket integer not null,
    recipient text not null,
    policy text not null,
    status text not null,
    created_at integer not null,
    finished_at integer,
    state blob not null                  -- the message's document
);
create index messages_by_recipient on messages (recipient, id);

create table message_events (            -- {"ce": attributes, "data": …} of each message, never changed
    message text primary key,
    document blob not null
);

create table history (                   -- JSON lines, appended
    message text not null,
    lines blob not null
);
create index history_by_message on history (message);

create table ready (                     -- the backlog, most urgent first
    queue text not null,
    lane integer not null,
    since integer not null,
    message text not null,
    step integer not null,
    primary key (queue, lane, since, message, step)
) without rowid;

create table timers (
    due_at integer not null,
    message text not null,
    primary key (due_at, message)
) without rowid;

create table recipients (
    id text primary key,
    bucket integer not null,
    document blob not null
) without rowid;

create table addresses (                 -- by keyed hash: marks, opt-outs, strikes, last word from its owner
    hash text primary key,
    document blob not null
) without rowid;

create table provider_references (       -- the providers' ids of our attempts
    provider text not null,
    reference text not null,
    message text not null,
    attempt integer not null,
    primary key (provider, reference)
) without rowid;
create index references_by_message on provider_references (message);

create table contacts (                  -- the last attempt to an address on a channel: whom a reply answers
    hash text not null,
    channel text not null,
    message text not null,
    attempt integer not null,
    at integer not null,
    primary key (hash, channel)
) without rowid;

create table orphans (                   -- receipts whose attempt is not known yet
    provider text not null,
    reference text not null,
    at integer not null,
    receipt blob not null
);
create index orphans_by_reference on orphans (provider, reference);

create table dedupes (
    policy text not null,
    recipient text not null,
    key text not null,
    message text not null,
    until integer not null,
    primary key (policy, recipient, key)
) without rowid;

create table outbox (                    -- status events, in order
    sequence integer primary key autoincrement,
    id text not null,
    recipient text not null,
    body blob not null
);
create table sinks (sink text primary key, sequence integer not null) without rowid;

create table dead_letters (
    id text primary key,
    at integer not null,
    origin text not null,
    reason text not null,
    detail text not null,
    headers text not null,
    body blob not null,
    replayed_at integer
) without rowid;

create table versions (                  -- what messages in flight were started with
    kind text not null,
    name text not null,
    version text not null,
    document blob not null,
    primary key (kind, name, version)
) without rowid;

create table secrets (
    id integer primary key autoincrement,
    purpose text not null,
    secret blob not null,
    created_at integer not null
);

create table api_keys (
    id text primary key,
    hash text not null unique,
    scopes text not null,
    created_at integer not null,
    revoked_at integer
) without rowid;

create table spending (
    channel text not null,
    day text not null,
    millionths integer not null,
    primary key (channel, day)
) without rowid;

create table receipt_counts (            -- sends and deliveries by the minute of the send, for the outage watch
    channel text not null,
    minute integer not null,
    sent integer not null,
    delivered integer not null,
    primary key (channel, minute)
) without rowid;
