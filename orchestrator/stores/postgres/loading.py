"""The loading of a batch from PostgreSQL, in three statements, and the locks taken first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from orchestrator.history.codec import decode_message
from orchestrator.stores.code_rows import FreeCode
from orchestrator.stores.journey_rows import JourneyRow
from orchestrator.stores.port import Moved
from orchestrator.stores.postgres.cache import MessageCache
from orchestrator.stores.postgres.database import QUERIES
from orchestrator.stores.rows import (
    AttemptPlace,
    ContactPlace,
    EventRow,
    Loaded,
    LoadedAddresses,
    MessageRow,
    PauseRow,
    Wanted,
    WantedAddresses,
)
from orchestrator.stores.tables import event_of
from orchestrator.stores.window_rows import DedupeWindow

LOCK = "select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as w (key)"
PAUSES_LOCK = 0x6B61_736B_6164_5061
LOCK_DECIDING = (
    f"select pg_advisory_xact_lock_shared({PAUSES_LOCK}) union all"
    f" select * from (select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as w (key)) l"
)
"""Deciding takes the lock of the pauses shared, so that a new pause waits for it."""
LOCK_PAUSING = LOCK_DECIDING.replace("lock_shared", "lock", 1)
LOCK_KEYS_MAX = 16_384


@lru_cache(maxsize=LOCK_KEYS_MAX)
def lock_key(kind: str, name: str) -> int:
    """The advisory lock of a recipient, an address or a reference: 64 bits of a hash, signed."""
    digest = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


async def take_locks(connection: Any, keys: Iterable[int], statement: str = LOCK) -> None:
    """Take locks in order, so that two units never wait for each other."""
    ordered = sorted(keys)
    if ordered or statement is not LOCK:
        await connection.fetch(statement, ordered)


async def load(connection: Any, wanted: Wanted, cache: MessageCache, *, lock: bool) -> Loaded:
    """``Unit.load``; without ``lock`` it is ``BatchStore.load``."""
    found = Loaded()
    messages, people = set(wanted.messages), wanted.recipients | wanted.live_of
    unseen = messages - cache.keys() if lock else set()
    if lock:  # a message never changes its recipient
        people |= {cache[id][1].message.recipient for id in messages - unseen}
    if wanted.references or wanted.contacts or unseen:
        rows = await named(connection, wanted, unseen)
        for row in sorted(rows, key=lambda row: row["message"]):
            key, place = (row["a"], row["b"]), (row["message"], row["attempt"])
            if row["kind"] == "r" and key in found.references:
                continue  # of an id that came twice, the earlier message has it
            messages.add(row["message"])
            if row["recipient"] is not None:
                people.add(row["recipient"])
            if row["kind"] == "r":
                found.references[key] = AttemptPlace(*place)
            elif row["kind"] == "c":
                found.contacts[key] = ContactPlace(*place, row["written_to"])
    people |= await people_of_journeys(connection, wanted)
    if lock:
        keys = (lock_key("r", person) for person in people)
        await take_locks(connection, keys, LOCK_PAUSING if wanted.pausing else LOCK_DECIDING)
    known = {id: cache[id] for id in messages if id in cache}
    rows = await connection.fetch(
        QUERIES["load"],
        list(messages),
        list(wanted.live_of),
        list(people),
        *columns(sorted(wanted.events), 2),
        [known[id][0] if id in known else "" for id in messages],
    )
    await load_journeys(connection, wanted, found)
    found.live_of = {recipient: [] for recipient in wanted.live_of}
    for row in rows:
        take(found, row, known)
        if row["version"] is not None and row["body"] is not None:
            cache.put(row["a"], (row["version"], found.messages[row["a"]]))
    for ids in found.live_of.values():
        ids.sort()
    missing = {row.message.recipient for row in found.messages.values()} - people
    if missing and not lock:
        rows = await connection.fetch(QUERIES["load_recipients"], list(missing))
        found.recipients |= {row[0]: orjson.loads(row[1]) for row in rows}
    return found


async def named(connection: Any, wanted: Wanted, messages: set[str]) -> Sequence[Any]:
    """The messages that the batch names, and these, with their recipients."""
    references = columns(sorted(wanted.references), 2)
    contacts = columns(sorted(wanted.contacts), 2)
    rows: Sequence[Any] = await connection.fetch(
        QUERIES["named"], *references, *contacts, list(messages)
    )
    return rows


def take(found: Loaded, row: Any, known: Mapping[str, tuple[str, MessageRow]]) -> None:
    """Add one row of the statement ``load``."""
    match row["kind"]:
        case "m":
            id, state = row["a"], row["body"]
            if state is None:
                found.messages[id] = known[id][1]
            else:
                found.messages[id] = MessageRow(decode_message(state), event_of(row["more"]))
            if row["version"] is not None and row["b"] in found.live_of:
                found.live_of[row["b"]].append(id)
        case "p":
            found.recipients[row["a"]] = orjson.loads(row["body"])
        case "h":
            until, eased = row["list"]
            times = (int(row["version"]), int(until), row["more"].decode())
            eased_at = int(eased) if eased is not None else None
            found.pauses.append(PauseRow(row["a"], row["b"], *times, eased_at))
        case "e":
            event = EventRow(row["body"], tuple(row["list"]), row["more"].decode())
            found.events[row["a"], row["b"]] = event


async def people_of_journeys(connection: Any, wanted: Wanted) -> set[str]:
    """Whose the journeys are that a batch wants."""
    if not wanted.journeys:
        return wanted.journeys_of
    rows = await connection.fetch(QUERIES["journeys_whose"], list(wanted.journeys))
    return wanted.journeys_of | {row[0] for row in rows}


async def load_journeys(connection: Any, wanted: Wanted, found: Loaded) -> None:
    """The journeys that were named, and the running ones of those people."""
    if not (wanted.journeys or wanted.journeys_of):
        return
    found.journeys_of = {recipient: [] for recipient in wanted.journeys_of}
    names = (list(wanted.journeys), list(wanted.journeys_of))
    for values in await connection.fetch(QUERIES["load_journeys"], *names):
        row = found.journeys[values[0]] = JourneyRow(*values)
        if row.finished_at is None and row.recipient in found.journeys_of:
            found.journeys_of[row.recipient].append(row.id)


async def load_addresses(
    connection: Any, wanted: WantedAddresses, *, lock: bool
) -> LoadedAddresses:
    """``Unit.load_addresses``; without ``lock`` only to look."""
    found = LoadedAddresses()
    if wanted.digests:  # their recipients are locked already
        rows = await connection.fetch(QUERIES["load_digests"], *columns(sorted(wanted.digests), 3))
        for row in rows:
            message = MessageRow(decode_message(row["state"]), event_of(row["document"]))
            found.digests[row["policy"], row["recipient"], row["key"]] = message
    references, unknown = sorted(wanted.references), sorted(wanted.unknown)
    if wanted.entered:
        keys_of = columns(sorted(wanted.entered), 3)
        for *key, id in await connection.fetch(QUERIES["load_entered"], *keys_of):
            found.entered[key[0], key[1], key[2]] = id
    if not (wanted.addresses or references or unknown or wanted.dedupes):
        return found
    if lock:
        places = (*references, *unknown)
        keys = {lock_key("a", hash) for hash in wanted.addresses}
        keys |= {lock_key("o", f"{provider} {reference}") for provider, reference in places}
        await take_locks(connection, keys)
    rows = await connection.fetch(
        QUERIES["load_addresses"],
        list(wanted.addresses),
        *columns(references, 2),
        *columns(unknown, 2),
        *columns(sorted(wanted.dedupes), 3),
    )
    for row in sorted(rows, key=lambda row: row["at"]):
        match row["kind"]:
            case "a":
                found.addresses[row["a"]] = orjson.loads(row["body"])
            case "o":
                found.orphans.setdefault((row["a"], row["b"]), []).append(row["body"])
            case "d":
                opener = decode_message(row["body"]) if row["body"] is not None else None
                window = DedupeWindow(row["message"], row["at"], opener)
                found.dedupes[row["a"], row["b"], row["key"]] = window
            case "r":
                raise Moved(f"reference {row['b']} of {row['a']} has become known")
    return found


async def load_codes(connection: Any, pool: str, count: int) -> list[FreeCode]:
    """
    At most ``count`` free codes of a pool, locked. When few are left, those that others have locked
    are waited for; the own ones are let go first and all are locked in one order, so that no two
    wait for each other.
    """
    await connection.execute("savepoint codes")
    rows = await connection.fetch(QUERIES["free_codes"], pool, count)
    if len(rows) < count:
        await connection.execute("rollback to savepoint codes")
        rows = await connection.fetch(QUERIES["last_codes"], pool, count)
    return [FreeCode(*row) for row in rows]


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as one array a column, as ``unnest`` takes them."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
