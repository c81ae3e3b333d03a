"""
One batch on the embedded store: what it reads in a few queries, and everything that it writes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from orchestrator.core.message import TERMINAL, Message
from orchestrator.history.codec import decode_message, encode_message
from orchestrator.stores.lru_cache import LruCache
from orchestrator.stores.port import (
    Changes,
    EventRow,
    Loaded,
    LoadedAddresses,
    MessageRow,
    ReadyRow,
    Wanted,
    WantedAddresses,
    bucket_of,
    lane_of_timer,
)

MESSAGE = (
    "select id, state, document from messages left join message_events on message=id where id in"
)
NO_EVENT = b'{"ce":{},"data":{}}'
sqlite3.register_adapter(bytes, bytes)
"""
Bytes are stored as they are. Where nothing says so, the module asks each of them how it wants to be
stored.
"""
MESSAGES_MAX = 4_096
RECIPIENTS_MAX = 8_192
ADDRESSES_MAX = 16_384


class MessageCache:
    """
    What was read or written last. It is never stale, because nobody else writes this store, and
    what a commit is about to change is withdrawn before it; messages are never changed in place,
    and of documents the bytes are kept, empty where there is none. Messages that have ended are let
    go of: few are asked for again, and every object that is kept is looked at by the garbage
    collector.
    """

    def __init__(self) -> None:
        self.messages: LruCache[MessageRow] = LruCache(MESSAGES_MAX)
        self.recipients: LruCache[bytes] = LruCache(RECIPIENTS_MAX)
        self.addresses: LruCache[bytes] = LruCache(ADDRESSES_MAX)

    def withdraw(self, changes: Changes) -> dict[str, MessageRow]:
        """
        Forget what a commit is about to change, before anybody can see it there: others read while
        the commit waits for the disk, and must not find new rows of a message beside an old person.
        What was known of its messages, for ``take``.
        """
        if changes.erased:
            self.forget()
        for id in changes.recipients:
            self.recipients.pop(id, None)
        for hash in changes.addresses:
            self.addresses.pop(hash, None)
        known = (
            (message.id, self.messages.pop(message.id, None)) for message, _ in changes.changed
        )
        return {id: row for id, row in known if row is not None}

    def take(self, changes: Changes, known: dict[str, MessageRow]) -> None:
        """What has just been committed; ``known`` is what ``withdraw`` gave."""
        if changes.erased:
            self.forget()
            return
        for message, event, _ in changes.created:
            if message.status not in TERMINAL:
                self.messages.put(message.id, MessageRow(message, event))
        for message, _ in changes.changed:
            row = known.get(message.id)
            if row is not None and message.status not in TERMINAL:
                self.messages.put(message.id, MessageRow(message, row.event))
        for id, document in changes.recipients.items():
            self.recipients.put(id, document)
        for hash, document in changes.addresses.items():
            self.addresses.put(hash, document)

    def forget(self) -> None:
        self.messages.clear()
        self.recipients.clear()
        self.addresses.clear()


def load(db: sqlite3.Connection, memory: MessageCache, wanted: Wanted) -> Loaded:
    """What ``Store.load`` says, one query a table."""
    found = Loaded()
    one = db.execute
    for source, id in wanted.events:
        row = one(
            "select digest, messages, status from events where source=? and id=?", (source, id)
        ).fetchone()
        if row:
            found.events[source, id] = EventRow(row[0], tuple(orjson.loads(row[1])), row[2])
    for provider, reference in wanted.references:
        query = "select message, attempt from provider_references where provider=? and reference=?"
        if row := one(query, (provider, reference)).fetchone():
            found.references[provider, reference] = (row[0], row[1])
    for hash, channel in wanted.contacts:
        query = "select message, attempt from contacts where hash=? and channel=?"
        if row := one(query, (hash, channel)).fetchone():
            found.contacts[hash, channel] = (row[0], row[1])
    for key in wanted.dedupes:
        query = "select message, until from dedupes where policy=? and recipient=? and key=?"
        if row := one(query, key).fetchone():
            found.dedupes[key] = (row[0], row[1])
    load_documents(db, memory, wanted, found)
    return found


def load_documents(
    db: sqlite3.Connection, memory: MessageCache, wanted: Wanted, found: Loaded
) -> None:
    """The messages that were named in any way, and their recipients."""
    named = {place[0] for places in (found.references, found.contacts) for place in places.values()}
    for recipient in wanted.live_of:
        live = db.execute(
            "select id from messages where recipient=? and finished_at is null order by id",
            (recipient,),
        )
        found.live_of[recipient] = [row[0] for row in live]
        named.update(found.live_of[recipient])
    messages = memory.messages
    missing = []
    for id in sorted(
        wanted.messages | named
    ):  # in one order, whatever hashes are like in this process
        row = messages.get(id)
        if row is None:
            missing.append(id)
        else:
            found.messages[id] = row
    for id, state, event in select_in(db, MESSAGE, missing):
        found.messages[id] = MessageRow(decode_message(state), orjson.loads(event or NO_EVENT))
    people = wanted.recipients | {row.message.recipient for row in found.messages.values()}
    found.recipients = documents(
        db, "select id, document from recipients where id in", people, memory.recipients
    )


def documents(
    db: sqlite3.Connection, query: str, keys: Collection[str], known: LruCache[bytes]
) -> dict[str, dict[str, Any]]:
    """
    Documents by key, from memory or else from the database; those that are not there are
    remembered, too.
    """
    missing = [key for key in keys if key not in known]
    if missing:
        rows = dict(select_in(db, query, missing))
        for key in missing:
            known.put(key, rows.get(key, b""))
    return {key: orjson.loads(document) for key in keys if (document := known[key])}


def load_addresses(
    db: sqlite3.Connection, memory: MessageCache, wanted: WantedAddresses
) -> LoadedAddresses:
    """What ``Unit.load_addresses`` says; with one writer nothing can have moved."""
    query = "select hash, document from addresses where hash in"
    found = LoadedAddresses(documents(db, query, wanted.addresses, memory.addresses))
    for provider, reference in wanted.references:
        query = "select receipt from orphans where provider=? and reference=? order by at"
        if rows := db.execute(query, (provider, reference)).fetchall():
            found.orphans[provider, reference] = [row[0] for row in rows]
    return found


def select_in(
    db: sqlite3.Connection, query: str, keys: Collection[str]
) -> Iterable[tuple[Any, ...]]:
    """Rows whose key is one of ``keys``, however many there are."""
    if not keys:
        return ()
    if len(keys) == 1:
        return db.execute(f"{query} (?)", tuple(keys)).fetchall()
    return db.execute(
        f"{query} (select value from json_each(?))", (json.dumps(sorted(keys)),)
    ).fetchall()


def write(db: sqlite3.Connection, changes: Changes) -> None:
    """Everything of one batch, table by table."""
    many = db.executemany
    if changes.events:
        seen = [
            (s, i, d, st, orjson.dumps(ids).decode(), at) for s, i, d, st, ids, at in changes.events
        ]
        many(
            "insert into events (source, id, digest, status, messages, accepted_at) values"
            " (?,?,?,?,?,?)",
            seen,
        )
    write_messages(db, changes)
    if changes.ready_out:
        many(
            "delete from ready where queue=? and lane=? and since=? and message=? and step=?",
            ready_values(changes.ready_out),
        )
    if changes.ready_in:
        query = "insert or ignore into ready (queue, lane, since, message, step) values (?,?,?,?,?)"
        many(query, ready_values(changes.ready_in))
    if changes.timers_out:
        many("delete from timers where due_at=? and message=?", changes.timers_out)
    if changes.timers_in:
        rows = [(at, message, lane_of_timer(changes, message)) for at, message in changes.timers_in]
        many("insert or ignore into timers (due_at, message, lane) values (?,?,?)", rows)
    if changes.references:
        query = (
            "insert or ignore into provider_references (provider, reference, message, attempt)"
            " values (?,?,?,?)"
        )
        many(query, changes.references)
    if changes.contacts:
        many(
            "insert or replace into contacts (hash, channel, message, attempt, at) values"
            " (?,?,?,?,?)",
            changes.contacts,
        )
    if changes.recipients:
        people = [(id, bucket_of(id), document) for id, document in changes.recipients.items()]
        many("insert or replace into recipients (id, bucket, document) values (?,?,?)", people)
    if changes.addresses:
        many(
            "insert or replace into addresses (hash, document) values (?,?)",
            list(changes.addresses.items()),
        )
    write_rest(db, changes)


def write_messages(db: sqlite3.Connection, changes: Changes) -> None:
    """Messages with their history; how each began stands in one row with its event."""
    new: list[tuple[Any, ...]] = []
    began: list[tuple[str, bytes, bytes]] = []
    live: list[tuple[str, bytes, str]] = []
    ended: list[tuple[str, int | None, bytes, str]] = []
    lines: list[tuple[str, bytes]] = []
    for message, event, history in changes.created:
        new.append(created_row(message))
        began.append((message.id, orjson.dumps(event), history))
        if message.status in TERMINAL:
            ended.append(
                (str(message.status), message.finished_at, encode_message(message), message.id)
            )
    for message, history in changes.changed:
        lines.append((message.id, history))
        if message.status in TERMINAL:
            ended.append(
                (str(message.status), message.finished_at, encode_message(message), message.id)
            )
        else:
            live.append((str(message.status), encode_message(message), message.id))
    many = db.executemany
    if new:
        query = (
            "insert into messages (id, bucket, recipient, policy, status, created_at, state) values"
            " (?,?,?,?,?,?,?)"
        )
        many(query, new)
        many("insert into message_events (message, document, lines) values (?,?,?)", began)
    if live:
        many("update messages set status=?, state=? where id=?", live)
    if ended:
        many("update messages set status=?, finished_at=?, state=? where id=?", ended)
    if lines:
        many("insert into history (message, lines) values (?,?)", lines)


def ready_values(rows: Sequence[ReadyRow]) -> list[tuple[str, int, int, str, int]]:
    return [(row.queue, row.lane, row.since, row.message, row.step) for row in rows]


def write_rest(db: sqlite3.Connection, changes: Changes) -> None:
    """What most batches do not have."""
    many = db.executemany
    if changes.raw_receipts:
        many("insert into raw_receipts (at, provider, body) values (?,?,?)", changes.raw_receipts)
    if changes.orphans:
        many(
            "insert into orphans (provider, reference, at, receipt) values (?,?,?,?)",
            changes.orphans,
        )
    if changes.orphans_joined:
        many("delete from orphans where provider=? and reference=?", changes.orphans_joined)
    if changes.dedupes:
        many(
            "insert or replace into dedupes (policy, recipient, key, message, until) values"
            " (?,?,?,?,?)",
            changes.dedupes,
        )
    if changes.outbox:
        many("insert into outbox (id, recipient, body) values (?,?,?)", changes.outbox)
    if changes.spent:
        query = (
            "insert into spending (channel, day, millionths) values (?,?,?) "
            "on conflict (channel, day) do update set millionths = millionths + excluded.millionths"
        )
        many(query, [(channel, day, amount) for (channel, day), amount in changes.spent.items()])
    for letter in changes.dead_letters:
        db.execute(
            "insert or ignore into dead_letters (id, at, origin, reason, detail, headers, body) "
            "values (:id, :at, :origin, :reason, :detail, :headers, :body)",
            {**letter, "headers": orjson.dumps(letter["headers"]).decode()},
        )
    for recipient in changes.erased:
        db.execute("delete from recipients where id=?", (recipient,))
        db.execute(
            "delete from contacts where message in (select id from messages where recipient=?)",
            (recipient,),
        )
        for table in ("message_events", "history"):
            query = (
                f"delete from {table} where message in (select id from messages where recipient=?)"
            )
            db.execute(query, (recipient,))


def created_row(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        bucket_of(message.recipient),
        message.recipient,
        message.policy,
        str(message.status),
        message.created_at,
        encode_message(message),
    )
