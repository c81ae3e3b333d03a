-- The whole schema. A message is one document row, an event one key row; small hot tables hold what
-- waits. Parts that never change have a table of their own, so that a change rewrites little. Times
-- are UTC milliseconds. `bucket` is crc32(recipient) % 1024: the store can be split by it. "Batch"
-- below is the engine's commit; "purge" is the regular deletion of rows whose time is over.

-- Events that were accepted: a repeat is recognised while its row is here. Written by batches;
-- purged after `retention.events`.
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

-- Outlines of webhooks (``channels.outline``). Written by batches; purged after
-- `retention.receipts`, in the order of their row ids, so they need no index.
create table raw_receipts (
    at integer not null,
    provider text not null,
    body blob not null
);

-- One row a message. Written by batches; purged after `retention.messages`, once the message has
-- finished.
create table messages (
    id text primary key,                 -- ULID: in order of time
    bucket integer not null,
    recipient text not null,
    policy text not null,
    status text not null,
    created_at integer not null,
    finished_at integer,
    state blob not null,                 -- the message's document
    reason text                          -- once it has ended, unless it has succeeded
);
create index messages_by_recipient on messages (recipient, id);
create index messages_by_reason on messages (reason, id) where reason is not null;
create index messages_unfinished on messages (id) where finished_at is null;

-- How a message began: {"ce": attributes, "data": …} and the first lines of its history. Written
-- once, by the batch that creates the message; deleted with it, or when its recipient is erased.
create table message_events (
    message text primary key,
    document blob not null,
    lines blob not null
);

-- The other lines of a message's history (JSON lines). Appended by batches; deleted like
-- message_events.
create table history (
    message text not null,
    lines blob not null
);
create index history_by_message on history (message);

-- The backlog: steps that wait for a provider, the most urgent first. Written by batches; a row
-- goes when its step is sent, held or over.
create table ready (
    queue text not null,
    lane integer not null,
    since integer not null,
    message text not null,
    step integer not null,
    primary key (queue, lane, since, message, step)
) without rowid;

-- When a message, or a journey, is to be looked at again; at most one row for each. Written by
-- batches; lane 0 is OTP.
create table timers (
    due_at integer not null,
    message text not null,
    lane integer not null default 3,
    primary key (due_at, message)
) without rowid;
create index otp_timers on timers (due_at, message) where lane = 0;

-- Profiles, consents and cap usage. Written by batches and the API; kept until the recipient is
-- erased, or not heard of for `retention.profiles`. With row ids, because a document may have 64 KiB: within the tree of the keys large ones
-- make their neighbours twice as slow.
create table recipients (
    id text primary key,
    bucket integer not null,
    document blob not null,
    seen_at integer not null default 0     -- the last change, or a message that the purge has seen
);

-- Suppressions, opt-outs, bounces and the last inbound message, by the keyed hash of an address.
-- Written by batches; one row for each address that ever had one of them.
create table addresses (
    hash text primary key,
    document blob not null
) without rowid;

-- Whose profile has an address that is one plain text (phones, mailboxes, providers' ids), by its
-- keyed hash. Written by batches with the profile; deleted when the profile loses the address.
create table owners (
    hash text not null,
    recipient text not null,
    primary key (hash, recipient)
) without rowid;

-- The providers' ids of our attempts. Written by batches; deleted with their message.
create table provider_references (
    provider text not null,
    reference text not null,
    message text not null,
    attempt integer not null,
    primary key (provider, reference)
) without rowid;
create index references_by_message on provider_references (message);

-- The last attempt to an address on a channel, which a reply answers. A provider may know that
-- address by another one: then both have a row, and `written_to` is the one that was written to.
-- Written by batches; one row an address and channel.
create table contacts (
    hash text not null,
    channel text not null,
    message text not null,
    attempt integer not null,
    written_to text not null,
    at integer not null,
    primary key (hash, channel)
) without rowid;

-- The inbox of a person: the number of its last change, and up to which one they are no longer all
-- known. It begins with the time at which it is opened, so that one which comes after an erasure
-- never repeats a number. Written by batches and the API; one row for each person who ever had an
-- item.
create table inboxes (
    recipient text primary key,
    seq integer not null,
    forgotten integer not null
) without rowid;

-- Items of inboxes. Written by batches and the API; purged once they have expired, and of one person
-- the oldest of more than 10 000.
create table items (
    id text primary key,
    recipient text not null,
    number integer not null,             -- the order in which they came
    seq integer not null,                -- of its last change
    message text not null,
    attempt integer not null,
    provider text not null,
    category text not null,
    pinned integer not null,             -- 0 or 1
    created_at integer not null,
    expires_at integer not null,
    delivered_at integer,
    seen_at integer,
    read_at integer,
    clicked_at integer,
    archived_at integer,
    document blob                        -- its content (JSON); null once it is withdrawn
);
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
    provider text not null,
    reference text not null,
    at integer not null,
    receipt blob not null
);
create index orphans_by_reference on orphans (provider, reference);

-- The data (JSON) of the events that have joined a message with a digest, beside its own. Written by
-- batches; deleted like message_events.
create table joined_events (
    message text not null,
    number integer not null,
    data blob not null,
    primary key (message, number)
);

-- Windows in which a policy makes no second message for the same key, and those in which events of
-- one key join a digest. Written by batches; purged when they have ended.
create table dedupes (
    policy text not null,
    recipient text not null,
    key text not null,
    message text not null,
    until integer not null,
    primary key (policy, recipient, key)
) without rowid;
create index dedupes_by_end on dedupes (until);

-- One row a journey of a person. Written by batches; purged `retention.messages` after its end,
-- deleted when the recipient is erased.
create table journeys (
    id text primary key,                 -- J and a ULID
    bucket integer not null,
    recipient text not null,
    journey text not null,
    key text not null,
    status text not null,
    created_at integer not null,
    finished_at integer,
    due_at integer,
    state blob not null,                 -- the journey's document
    events blob not null                 -- {path of a step: {"ce": attributes, "data": …}}
);
create index journeys_by_recipient on journeys (recipient, id);
create index journeys_by_name on journeys (journey, id);
create index journeys_running on journeys (id) where finished_at is null;
create index journeys_running_by_name on journeys (journey) where finished_at is null;
create index journeys_running_of on journeys (recipient, id) where finished_at is null;
create index journeys_by_end on journeys (finished_at, id) where finished_at is not null;

-- The history of a journey (JSON lines). Appended by batches; deleted with the journey.
create table journey_history (
    position integer primary key,
    journey text not null,
    lines blob not null
);
create index journey_history_by_journey on journey_history (journey, position);

-- Who has begun a journey that nobody begins twice (`again: never`), by the keyed hash of its key.
-- Written by batches; kept until the recipient is erased or forgotten.
create table entered (
    recipient text not null,
    journey text not null,
    key text not null,
    id text not null,
    at integer not null,
    primary key (recipient, journey, key)
) without rowid;

-- Status events, in order. Written by batches; purged when every sink has taken them, and after a
-- week.
create table outbox (
    sequence integer primary key autoincrement,
    id text not null,
    recipient text not null,
    body blob not null,
    queued_at integer not null
);

-- How far each sink has come in the outbox. Written by the sinks' loops; one row a sink.
create table sinks (sink text primary key, sequence integer not null) without rowid;

-- How many people have met each arm of an experiment, and with how many it has succeeded. Added to by
-- batches; one row an arm.
create table exposures (
    experiment text not null,
    arm text not null,
    exposed integer not null,
    succeeded integer not null,
    primary key (experiment, arm)
) without rowid;

-- Codes of pools. `code` stands there as it is while it is free; once a message has it, only its keyed
-- hash stays. Written by imports and batches; one row for each code that was ever imported, so that
-- none is given twice.
create table codes (
    position integer primary key,
    pool text not null,
    hash text not null,
    source text not null,
    code text,
    message text,
    taken_at integer,
    unique (hash, pool)
);
create index codes_free on codes (pool, position) where code is not null;

-- Where codes came from. Written by imports; one row for each file that was ever imported.
create table code_imports (
    pool text not null,
    source text not null,
    at integer not null,
    codes integer not null,
    primary key (pool, source)
) without rowid;

-- Input that could not be processed. Written by batches and replays; purged after
-- `retention.dead_letters`.
create table dead_letters (
    id text primary key,
    at integer not null,
    origin text not null,
    reason text not null,
    detail text not null,
    headers text not null,               -- JSON object
    body blob not null,
    replayed_at integer
);
create index open_dead_letters on dead_letters (id) where replayed_at is null;

-- Policies and governance as messages were decided with. Written at every start and reload; a row
-- for each version.
create table versions (
    kind text not null,
    name text not null,
    version text not null,
    document blob not null,
    primary key (kind, name, version)
) without rowid;

-- Under which configuration the held messages of each bucket were asked again last. Written after
-- each round of the re-examination; a row for each bucket.
create table examined (
    bucket integer primary key,
    digest text not null
);

-- Keys that Kaskad made for itself: signing, pepper. Written at the first start and by `kaskad keys
-- rotate`.
create table secrets (
    id integer primary key autoincrement,
    purpose text not null,
    secret blob not null,
    created_at integer not null
);

-- API keys, as hashes. Written by operators; revoked keys stay.
create table api_keys (
    id text primary key,
    hash text not null unique,
    scopes text not null,                -- separated by commas
    created_at integer not null,
    revoked_at integer,
    name text not null,                  -- "" if it has none
    expires_at integer,
    rate_count integer,                  -- null: `http.key_rate`
    rate_ms integer,
    used_at integer                     -- written once a minute at most
) without rowid;

-- Who has changed the installation or looked at personal data; `hash` is over the entry and the one
-- before. Written with the change; purged after `retention.audit`, but for the last entry.
create table audit (
    sequence integer primary key,
    id text not null unique,             -- ULID
    at integer not null,
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
    at integer not null,
    until integer not null,
    why text not null,
    eased_at integer,
    primary key (kind, name)
) without rowid;

-- Money spent, for caps on spending. Added to by batches; one row a channel and day.
create table spending (
    channel text not null,
    day text not null,
    millionths integer not null,
    primary key (channel, day)
) without rowid;

-- How often people have answered at each hour of their day, for policies that wait for the best one.
-- Added to by batches; 24 rows.
create table answer_hours (
    hour integer primary key,
    count integer not null
);

-- Sends and deliveries by the minute of the send, for the detection of outages. Added to every few
-- seconds; purged after two days.
create table receipt_counts (
    channel text not null,
    minute integer not null,
    sent integer not null,
    delivered integer not null,
    primary key (channel, minute)
) without rowid;

-- Sums for reports: a row for each day, key and slot. Added to by batches; purged after
-- `retention.counts`. An embedded store has one slot.
create table counts (
    key integer not null,                -- id of count_keys
    day integer not null,                -- 20261121
    slot integer not null,
    messages integer not null,
    sends integer not null,
    delivered integer not null,
    read integer not null,
    clicked integer not null,
    replied integer not null,
    converted integer not null,
    unsubscribed integer not null,
    complained integer not null,
    cost integer not null,               -- millionths of the currency
    primary key (key, day, slot)
) without rowid;
create index counts_by_day on counts (day);

-- What the keys of `counts` stand for; `id` is a hash of the rest. Written by batches; purged when no
-- row of `counts` has it.
create table count_keys (
    id integer primary key,
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
