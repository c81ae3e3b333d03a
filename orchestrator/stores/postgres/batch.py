"""
One batch on PostgreSQL: its locks, what it reads in three statements, and everything that it writes
in a few more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from orchestrator.core.message import TERMINAL, Message
from orchestrator.history.codec import decode_history, decode_message, encode_message
from orchestrator.stores.lru_cache import LruCache
from orchestrator.stores.port import (
    Changes,
    EventRow,
    Loaded,
    LoadedAddresses,
    MessageRow,
    Moved,
    ReadyRow,
    StoredMessage,
    Wanted,
    WantedAddresses,
    bucket_of,
    lane_of_timer,
)

QUERIES = {
    file.stem: file.read_text()
    for file in sorted((Path(__file__).parent / "queries").glob("*.sql"))
}
LOCK = "select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as w (key)"
NO_EVENT = b'{"ce":{},"data":{}}'
MESSAGES_MAX = 4_096
LOCK_KEYS_MAX = 16_384


class MessageCache(LruCache[tuple[str, MessageRow]]):
    """
    Live messages as they were read or written last, each with the version of its row: the
    transaction that wrote it. What is remembered is used only where the row that stands there now
    has that version, so it does not matter who else writes.
    """

    def __init__(self) -> None:
        super().__init__(MESSAGES_MAX)

    def take(self, changes: Changes, version: str) -> None:
        """What has just been committed."""
        if changes.erased:
            self.clear()
            return
        for message, event, _ in changes.created:
            if message.status not in TERMINAL:
                self.put(message.id, (version, MessageRow(message, event)))
        for message, _ in changes.changed:
            known = self.pop(message.id, None)
            if known is not None and message.status not in TERMINAL:
                self.put(message.id, (version, MessageRow(message, known[1].event)))


# ---- locks


@lru_cache(maxsize=LOCK_KEYS_MAX)
def lock_key(kind: str, name: str) -> int:
    """The advisory lock of a recipient, an address or a reference: 64 bits of a hash, signed."""
    digest = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


async def take_locks(connection: Any, keys: Iterable[int]) -> None:
    """Take them in order, so that two units never wait for each other."""
    ordered = sorted(keys)
    if ordered:
        await connection.fetch(LOCK, ordered)


# ---- reading


async def load(connection: Any, wanted: Wanted, remembered: MessageCache, *, lock: bool) -> Loaded:
    """What ``Unit.load`` says; without ``lock`` what ``Store.load`` says."""
    found = Loaded()
    messages, people = set(wanted.messages), wanted.recipients | wanted.live_of
    strange = messages - remembered.keys() if lock else set()
    if lock:  # whose a message is never changes
        people |= {remembered[id][1].message.recipient for id in messages - strange}
    if wanted.references or wanted.contacts or strange:
        for row in await named(connection, wanted, strange):
            messages.add(row["message"])
            if row["recipient"] is not None:
                people.add(row["recipient"])
            place = (row["message"], row["attempt"])
            if row["kind"] == "r":
                found.references[row["a"], row["b"]] = place
            elif row["kind"] == "c":
                found.contacts[row["a"], row["b"]] = place
    if lock:
        await take_locks(connection, (lock_key("r", person) for person in people))
    events, dedupes = sorted(wanted.events), sorted(wanted.dedupes)
    known = {id: remembered[id] for id in messages if id in remembered}
    rows = await connection.fetch(
        QUERIES["load"],
        list(messages),
        list(wanted.live_of),
        list(people),
        *columns(events, 2),
        *columns(dedupes, 3),
        [known[id][0] if id in known else "" for id in messages],
    )
    found.live_of = {recipient: [] for recipient in wanted.live_of}
    for row in rows:
        take(found, row, known)
        if row["version"] is not None and row["body"] is not None:
            remembered.put(row["a"], (row["version"], found.messages[row["a"]]))
    for ids in found.live_of.values():
        ids.sort()
    if not lock and (
        missing := {row.message.recipient for row in found.messages.values()} - people
    ):
        rows = await connection.fetch(
            "select id, document from recipients where id = any ($1::text[])", list(missing)
        )
        found.recipients |= {row[0]: orjson.loads(row[1]) for row in rows}
    return found


async def named(connection: Any, wanted: Wanted, messages: set[str]) -> list[Any]:
    """The messages that the batch names, and these, with their recipients."""
    references, contacts = (
        columns(sorted(wanted.references), 2),
        columns(sorted(wanted.contacts), 2),
    )
    return list(await connection.fetch(QUERIES["named"], *references, *contacts, list(messages)))


def take(found: Loaded, row: Any, known: Mapping[str, tuple[str, MessageRow]]) -> None:
    """One row of ``load.sql``."""
    match row["kind"]:
        case "m":
            if row["body"] is None:
                found.messages[row["a"]] = known[row["a"]][1]
            else:
                found.messages[row["a"]] = MessageRow(
                    decode_message(row["body"]), event_of(row["more"])
                )
            if row["version"] is not None and row["b"] in found.live_of:
                found.live_of[row["b"]].append(row["a"])
        case "p":
            found.recipients[row["a"]] = orjson.loads(row["body"])
        case "e":
            found.events[row["a"], row["b"]] = EventRow(
                row["body"], tuple(row["list"]), row["more"].decode()
            )
        case "d":
            found.dedupes[row["a"], row["b"], row["body"].decode()] = (
                row["more"].decode(),
                row["until"],
            )


def event_of(document: bytes | None) -> dict[str, Any]:
    """The event of a message; an empty one where its recipient was erased."""
    event: dict[str, Any] = orjson.loads(document or NO_EVENT)
    return event


async def load_addresses(
    connection: Any, wanted: WantedAddresses, *, lock: bool
) -> LoadedAddresses:
    """What ``Unit.load_addresses`` says; without ``lock`` only to look."""
    found = LoadedAddresses()
    references, unknown = sorted(wanted.references), sorted(wanted.unknown)
    if not (wanted.addresses or references or unknown):
        return found
    if lock:
        keys = {lock_key("a", hash) for hash in wanted.addresses}
        keys |= {
            lock_key("o", f"{provider} {reference}")
            for provider, reference in (*references, *unknown)
        }
        await take_locks(connection, keys)
    rows = await connection.fetch(
        QUERIES["addresses"], list(wanted.addresses), *columns(references, 2), *columns(unknown, 2)
    )
    for row in sorted(rows, key=lambda row: row["at"]):
        match row["kind"]:
            case "a":
                found.addresses[row["a"]] = orjson.loads(row["body"])
            case "o":
                found.orphans.setdefault((row["a"], row["b"]), []).append(row["body"])
            case "r":
                raise Moved(f"reference {row['b']} of {row['a']} has become known")
    return found


async def stored_message(
    fetch: Callable[..., Awaitable[list[Any]]], id: str
) -> StoredMessage | None:
    """A message with its history, for people."""
    query = (
        "select u.state, e.document from (select id, state from messages where id = $1 union all"
        " select id, state from finished where id = $1) u left join message_events e on e.message ="
        " u.id"
    )
    rows = await fetch(query, id)
    if not rows:
        return None
    began = await fetch("select lines from message_events where message = $1", id)
    lines = await fetch("select lines from history where message = $1 order by at, position", id)
    history = tuple(decode_history(b"".join(row[0] for row in (*began, *lines))))
    return StoredMessage(decode_message(rows[0][0]), event_of(rows[0][1]), history)


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as one array a column, the way ``unnest`` wants them."""
    return (
        [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
    )


# ---- writing


async def write(connection: Any, changes: Changes, sinks: Sequence[str]) -> str:
    """
    Everything of one batch. Statements that would write nothing are left out. Returns the version
    that live messages now have.
    """
    version = ""
    if changes.changed or changes.created:
        version = await connection.fetchval(
            QUERIES["write"], *message_columns(changes), *waiting_columns(changes)
        )
    people = [(id, bucket_of(id), document) for id, document in changes.recipients.items()]
    contacts = {row[:2]: row for row in changes.contacts}
    if people or changes.addresses or contacts or changes.references:
        await connection.execute(
            QUERIES["write_people"],
            *columns(people, 3),
            *columns(list(changes.addresses.items()), 2),
            *columns(list(contacts.values()), 5),
            *columns(changes.references, 4),
        )
    windows = {row[:3]: row for row in changes.dedupes}
    told = changes.outbox if sinks else []
    if changes.events or changes.raw_receipts or windows or told:
        events = sorted(
            (s, i, digest, status, orjson.dumps(ids).decode(), at)
            for s, i, digest, status, ids, at in changes.events
        )
        await connection.execute(
            QUERIES["write_events"],
            *columns(events, 6),
            *columns(changes.raw_receipts, 3),
            *columns(list(windows.values()), 5),
            list(sinks),
            *columns(
                [(id, bucket_of(recipient), recipient, body) for id, recipient, body in told], 4
            ),
        )
    await write_rest(connection, changes)
    return version


def message_columns(changes: Changes) -> list[list[Any]]:
    """The columns of new, changed and ended messages, of their history and of how they began."""
    created, changed, ended, lines, began = [], [], [], [], []
    for message, event, history in changes.created:
        row = (
            message.id,
            bucket_of(message.recipient),
            message.recipient,
            message.policy,
            message.status.value,
        )
        if message.status in TERMINAL:
            ended.append(ended_row(message))
        else:
            created.append((*row, message.created_at, encode_message(message)))
        began.append((message.id, orjson.dumps(event), history))
    for message, history in changes.changed:
        if message.status in TERMINAL:
            ended.append(ended_row(message))
        else:
            changed.append((message.id, message.status.value, encode_message(message)))
        lines.append((message.id, changes.at, history))
    return [
        *columns(created, 7),
        *columns(changed, 3),
        *columns(ended, 8),
        *columns(lines, 3),
        *columns(began, 3),
    ]


def ended_row(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        bucket_of(message.recipient),
        message.recipient,
        message.policy,
        message.status.value,
        message.created_at,
        message.finished_at if message.finished_at is not None else message.created_at,
        encode_message(message),
    )


def waiting_columns(changes: Changes) -> list[list[Any]]:
    """The columns of backlog rows and timers that go and come."""

    def key(row: ReadyRow) -> tuple[str, int, int, str, int]:
        return (row.queue, row.lane, row.since, row.message, row.step)

    buckets = changes.buckets
    return [
        *columns([key(row) for row in changes.ready_out], 5),
        *columns([(*key(row), buckets[row.message]) for row in changes.ready_in], 6),
        *columns(changes.timers_out, 2),
        *columns(
            [(at, id, buckets[id], lane_of_timer(changes, id)) for at, id in changes.timers_in], 4
        ),
    ]


async def write_rest(connection: Any, changes: Changes) -> None:
    """What most batches do not have."""
    if changes.orphans:
        query = "insert into orphans (provider, reference, at, receipt) values ($1, $2, $3, $4)"
        await connection.executemany(query, changes.orphans)
    if changes.orphans_joined:
        await connection.executemany(
            "delete from orphans where provider=$1 and reference=$2", changes.orphans_joined
        )
    for letter in changes.dead_letters:
        await connection.execute(
            "insert into dead_letters (id, at, origin, reason, detail, headers, body) values ($1,"
            " $2, $3, $4, $5, $6, $7) on conflict do nothing",
            *(letter[name] for name in ("id", "at", "origin", "reason", "detail")),
            orjson.dumps(letter["headers"]).decode(),
            letter["body"],
        )
    for recipient in changes.erased:
        await erase(connection, recipient)
    spent = [(channel, day, amount) for (channel, day), amount in sorted(changes.spent.items())]
    if spent:
        query = (
            "insert into spending values ($1, $2, $3) on conflict (channel, day) do update set"
            " millionths = spending.millionths + excluded.millionths"
        )
        await connection.executemany(query, spent)


async def erase(connection: Any, recipient: str) -> None:
    """Everything that was kept of a recipient but the bare states of their messages."""
    await connection.execute("delete from recipients where id = $1", recipient)
    query = (
        "select id from messages where recipient = $1 union all select id from finished where"
        " recipient = $1"
    )
    ids = [row[0] for row in await connection.fetch(query, recipient)]
    await connection.execute("delete from message_events where message = any ($1::text[])", ids)
    await connection.execute("delete from history where message = any ($1::text[])", ids)
    await connection.execute("delete from contacts where message = any ($1::text[])", ids)
