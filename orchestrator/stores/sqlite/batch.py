"""One batch on the embedded store: what it loads in a few queries, and everything it writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from typing import Any

import orjson

from orchestrator.history.codec import decode_message, encode_message
from orchestrator.stores.counts import count_rows, key_rows
from orchestrator.stores.journey_rows import JourneyRow
from orchestrator.stores.lru_cache import LruCache
from orchestrator.stores.named import named_in
from orchestrator.stores.rows import (
    AttemptPlace,
    Changes,
    ContactPlace,
    EventRow,
    Loaded,
    LoadedAddresses,
    MessageRow,
    PauseRow,
    ReadyRow,
    Wanted,
    WantedAddresses,
    bucket_of,
)
from orchestrator.stores.sqlite.cache import RowCache
from orchestrator.stores.sqlite.database import QUERIES, append_audit
from orchestrator.stores.tables import event_of, rare_writes
from orchestrator.stores.window_rows import DedupeWindow

MANY_KEYS = "(select value from json_each(?1))"
ONE_KEY = {name: text.replace(MANY_KEYS, "(?1)") for name, text in QUERIES.items()}
"""Faster statements for a single key, which is what a dispatcher looks up most."""


def load(db: sqlite3.Connection, cache: RowCache, wanted: Wanted) -> Loaded:
    """See ``BatchStore.load``."""
    found = Loaded()

    def one(name: str, key: tuple[str, ...]) -> Any:
        return db.execute(QUERIES[name], key).fetchone()

    for key in wanted.events:
        if row := one("load_event", key):
            found.events[key] = EventRow(row[0], tuple(orjson.loads(row[1])), row[2])
    for key in wanted.references:
        if row := one("load_reference", key):
            found.references[key] = AttemptPlace(*row)
    for hash, channel, *place in select_in(
        db, "load_contacts", {hash for hash, _ in wanted.contacts}
    ):
        if (hash, channel) in wanted.contacts:
            found.contacts[hash, channel] = ContactPlace(*place)
    found.pauses = [PauseRow(*row) for row in db.execute(QUERIES["pauses"])]
    load_journeys(db, wanted, found)
    load_messages(db, cache, wanted, found)
    return found


def load_journeys(db: sqlite3.Connection, wanted: Wanted, found: Loaded) -> None:
    """The journeys that were named, and the running ones of those people."""
    found.journeys_of = {recipient: [] for recipient in wanted.journeys_of}
    for row in map(JourneyRow._make, select_in(db, "load_journeys", wanted.journeys)):
        found.journeys[row.id] = row
    for row in map(JourneyRow._make, select_in(db, "load_journeys_of", wanted.journeys_of)):
        found.journeys[row.id] = row
        found.journeys_of[row.recipient].append(row.id)


def load_messages(db: sqlite3.Connection, cache: RowCache, wanted: Wanted, found: Loaded) -> None:
    """The messages that were named in any way, and their recipients."""
    ids = set(wanted.messages)
    for places in (found.references, found.contacts):
        ids.update(place.message for place in places.values())
    for recipient in wanted.live_of:
        found.live_of[recipient] = [
            row[0] for row in db.execute(QUERIES["load_live"], (recipient,))
        ]
        ids.update(found.live_of[recipient])
    found.messages = messages_by_id(db, cache, ids)
    people = wanted.recipients | {row.message.recipient for row in found.messages.values()}
    people |= {row.recipient for row in found.journeys.values()}
    found.recipients = documents(db, "load_recipients", people, cache.recipients)


def messages_by_id(
    db: sqlite3.Connection, cache: RowCache, ids: Collection[str]
) -> dict[str, MessageRow]:
    """Messages from the cache, else from the database."""
    found: dict[str, MessageRow] = {}
    missing = []
    for id in sorted(ids):  # in one order, whatever hashes are like in this process
        row = cache.messages.get(id)
        if row is None:
            missing.append(id)
        else:
            found[id] = row
    for id, state, event in select_in(db, "load_messages", missing):
        found[id] = MessageRow(decode_message(state), event_of(event))
    return found


def load_addresses(
    db: sqlite3.Connection, cache: RowCache, wanted: WantedAddresses
) -> LoadedAddresses:
    """See ``Unit.load_addresses``; with one writer nothing can have moved."""
    found = LoadedAddresses(documents(db, "load_addresses", wanted.addresses, cache.addresses))
    for key in wanted.references:
        if rows := db.execute(QUERIES["load_orphans"], key).fetchall():
            found.orphans[key] = [row[0] for row in rows]
    for window in wanted.dedupes:
        if row := db.execute(QUERIES["load_dedupe"], window).fetchone():
            opener = decode_message(row[2]) if row[2] is not None else None
            found.dedupes[window] = DedupeWindow(row[0], row[1], opener)
    for entry in wanted.entered:
        if row := db.execute(QUERIES["load_entered"], entry).fetchone():
            found.entered[entry] = row[0]
    for place in wanted.digests:
        if row := db.execute(QUERIES["load_digest"], place).fetchone():
            found.digests[place] = messages_by_id(db, cache, row)[row[0]]
    return found


def documents(
    db: sqlite3.Connection, name: str, keys: Collection[str], known: LruCache[bytes]
) -> dict[str, dict[str, Any]]:
    """Documents by key, from the cache or else from the database; absence is cached, too."""
    missing = [key for key in keys if key not in known]
    if missing:
        rows = dict(select_in(db, name, missing))
        for key in missing:
            known.put(key, rows.get(key, b""))
    return {key: orjson.loads(document) for key in keys if (document := known[key])}


def select_in(db: sqlite3.Connection, name: str, keys: Collection[str]) -> list[tuple[Any, ...]]:
    """Rows whose key is one of ``keys``, however many there are."""
    if not keys:
        return []
    if len(keys) == 1:
        return db.execute(ONE_KEY[name], tuple(keys)).fetchall()
    return db.execute(QUERIES[name], (json.dumps(sorted(keys)),)).fetchall()


def write(db: sqlite3.Connection, changes: Changes) -> None:
    """Everything of one batch; statements that would write nothing are left out."""

    def many(name: str, rows: Any) -> None:
        if rows:
            db.executemany(QUERIES[name], rows)

    many(
        "add_events", [(*row[:4], orjson.dumps(row[4]).decode(), row[5]) for row in changes.events]
    )
    write_messages(db, changes)
    many("drop_ready", [ready_values(row) for row in changes.ready_out])
    many("add_ready", [ready_values(row) for row in changes.ready_in])
    many("drop_timers", changes.timers_out)
    many("add_timers", [(at, id, changes.timer_lane(id)) for at, id in changes.timers_in])
    many("add_references", changes.references)
    many("put_contacts", changes.contacts)
    people = changes.recipients.items()
    many("put_recipients", [(id, bucket_of(id), document, changes.at) for id, document in people])
    many("drop_owners", changes.owners_out)
    many("add_owners", changes.owners_in)
    many("put_addresses", list(changes.addresses.items()))
    many("add_raw_receipts", changes.raw_receipts)
    many("put_dedupes", changes.dedupes)
    many("add_outbox", [(*row, changes.at) for row in changes.outbox])
    many("add_count_keys", key_rows(changes.count_keys, changes.counts))
    many("add_counts", count_rows(changes.counts, 0))
    for name, rows in rare_writes(changes):
        many(name, rows)
    append_audit(db, changes.audit)
    for person in changes.unwanted:
        for text in person.texts():
            found = db.execute(QUERIES["dead_letters_with"], (text,))
            many("drop_dead_letters", [(id,) for id in named_in(person, found)])
    erased = [(recipient,) for recipient in changes.erased]
    for table in (
        "recipient",
        "contacts",
        "message_events",
        "joined_events",
        "history",
        "items",
        "inbox",
    ):
        many(f"erase_{table}", erased)


def write_messages(db: sqlite3.Connection, changes: Changes) -> None:
    """Write messages with their history; the start of each is in one row with its event."""
    many = db.executemany
    if changes.created:
        created = [
            (
                message.id,
                bucket_of(message.recipient),
                message.recipient,
                message.policy,
                str(message.status),
                message.created_at,
                message.finished_at,
                encode_message(message),
                message.reason.value if message.reason is not None else None,
            )
            for message, _, _ in changes.created
        ]
        many(QUERIES["add_messages"], created)
        began = [(row.message.id, orjson.dumps(row.event), row.history) for row in changes.created]
        many(QUERIES["add_message_events"], began)
    if changes.changed:
        changed = [
            (
                message.id,
                str(message.status),
                message.finished_at,
                encode_message(message),
                message.reason.value if message.reason is not None else None,
            )
            for message, _ in changes.changed
        ]
        many(QUERIES["change_messages"], changed)
        said = [(message.id, lines) for message, lines in changes.changed if lines]
        many(QUERIES["add_history"], said)


def ready_values(row: ReadyRow) -> tuple[str, int, int, str, int]:
    return (row.queue, row.lane, row.since, row.message, row.step)
