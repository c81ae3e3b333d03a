"""
Many messages that wait, quickly: real ones are made by a real service, then copied row by row under
new names.

A message is spread over several tables. Whatever row names it, its recipient, its event, its
address or its reference belongs to it; a copy has other ids of the same length in their places, and
where it is to be due at a given instant, all its instants are moved by the same stretch. So a copy
is what the service would have written itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.events import FAR, STEP
from bench.lives import publish
from bench.place import Service
from bench.stage import Stage
from bench.worker import BenchError
from orchestrator.core.message import Message
from orchestrator.history.codec import decode_message
from orchestrator.primitives.ids import encode

INSTANT = re.compile(rb"(?<![\d.])1[5-9]\d{11}(?![\d.])")
"""A time between 2017 and 2033 in UTC milliseconds, as JSON has it."""
INSTANTS = range(1_500_000_000_000, 2_000_000_000_000)
CHUNK = 5_000
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.5

Row = tuple[Any, ...]


@dataclass(slots=True)
class Pattern:
    """One real message: its rows as patterns, ``{table: [row, …]}``, and when it is due."""

    policy: str
    due_at: int
    lengths: dict[str, int]
    rows: dict[str, list[Row]] = field(default_factory=dict)


class Seeds:
    """The patterns of a database that no service has open; ``grow`` copies them."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._made = 0
        with read_only(database) as db:
            self._patterns = patterns_of(db)
            self._epoch_ms = (
                int(db.execute("select min(created_at) from messages").fetchone()[0]) - 1
            )

    @property
    def policies(self) -> set[str]:
        return {pattern.policy for pattern in self._patterns}

    def grow(
        self, policy: str, due: Sequence[int | None], database: Path | None = None
    ) -> tuple[str, str]:
        """
        One more message of ``policy`` for each of ``due``: the instant (UTC ms) at which its timer
        is due, None for the far one of its pattern. The ids of the first and the last; they are in
        the order of ``due``.
        """
        patterns = [pattern for pattern in self._patterns if pattern.policy == policy]
        if not patterns:
            raise BenchError(f"no message of policy {policy} waits in {self._database}")
        first, self._made = self._made, self._made + len(due)
        copies = (
            self._copy(patterns[place % len(patterns)], first + place, due_at)
            for place, due_at in enumerate(due)
        )
        db = sqlite3.connect(database or self._database, isolation_level=None)
        try:
            pour(db, copies)
        finally:
            db.close()
        return self._id(first), self._id(self._made - 1)

    def _id(self, number: int) -> str:
        return encode((self._epoch_ms << 80) | number)

    def _copy(self, pattern: Pattern, number: int, due_at: int | None) -> dict[str, list[Row]]:
        names = names_of(self._id(number), number, pattern.lengths)
        if due_at is None:
            return {
                table: [
                    tuple([plain(value, names) for value in row]) for row in pattern.rows[table]
                ]
                for table in pattern.rows
            }
        shift = due_at - pattern.due_at
        return {
            table: [tuple([moved(value, names, shift) for value in row]) for row in rows]
            for table, rows in pattern.rows.items()
        }


def names_of(id: str, number: int, lengths: dict[str, int]) -> dict[bytes, bytes]:
    """The names of copy ``number``, of the lengths that the service's own have."""
    digest = hashlib.sha512(b"%d" % number).hexdigest().encode()
    return {
        b"message": id.encode(),
        b"recipient": b"seed-%07d" % number,
        b"event": b"s-%09d" % number,
        b"hash": digest[: lengths["hash"]],
        b"reference": digest[: lengths["reference"]],
    }


@dataclass(frozen=True, slots=True)
class Blank:
    """A text or blob with places for names."""

    form: bytes
    text: bool


def plain(value: Any, names: dict[bytes, bytes]) -> Any:
    """A pattern's value under other names."""
    if type(value) is not Blank:
        return value
    filled = value.form % names
    return filled.decode() if value.text else filled


def moved(value: Any, names: dict[bytes, bytes], shift: int) -> Any:
    """The same at another time (ms later)."""
    if isinstance(value, int) and value in INSTANTS:
        return value + shift
    filled = plain(value, names)
    if isinstance(filled, bytes):
        return INSTANT.sub(lambda found: b"%d" % (int(found[0]) + shift), filled)
    return filled


def blank(value: Any, own: dict[str, str]) -> Any:
    """``value`` as a pattern, where it has any of the names in ``own``."""
    raw = value.encode() if isinstance(value, str) else value
    if not isinstance(raw, bytes) or not any(name.encode() in raw for name in own.values()):
        return value
    form = raw.replace(b"%", b"%%")
    for kind, name in own.items():
        form = form.replace(name.encode(), b"%%(%b)b" % kind.encode())
    return Blank(form, isinstance(value, str))


def patterns_of(db: sqlite3.Connection) -> list[Pattern]:
    """Every message that waits for a timer, with all its rows."""
    due = dict(db.execute("select message, due_at from timers").fetchall())
    owners: dict[str, int] = {}
    names: list[dict[str, str]] = []
    patterns: list[Pattern] = []
    for (state,) in db.execute("select state from messages").fetchall():
        message = decode_message(state)
        if message.id not in due:
            continue
        own = own_names(message)
        owners |= {name: len(patterns) for name in own.values()}
        names.append(own)
        lengths = {kind: len(own.get(kind, "")) for kind in ("hash", "reference")}
        patterns.append(Pattern(message.policy, due[message.id], lengths))
    for table, rows in tables(db):
        for row in rows:
            place = next(
                (owners[value] for value in row if isinstance(value, str) and value in owners), None
            )
            if place is not None:
                values = tuple(blank(value, names[place]) for value in row)
                patterns[place].rows.setdefault(table, []).append(values)
    if not patterns:
        raise BenchError("no message waits for a timer, so there is nothing to copy")
    return patterns


def own_names(message: Message) -> dict[str, str]:
    """The id and names of a message."""
    names = {"message": message.id, "recipient": message.recipient, "event": message.event_id}
    for attempt in message.attempts:
        names["hash"] = attempt.address_hash
        if attempt.provider_id:
            names["reference"] = attempt.provider_id
    return names


def tables(db: sqlite3.Connection) -> Iterator[tuple[str, list[Row]]]:
    """Every table with its rows; row ids that SQLite gives are left to it."""
    for (table,) in db.execute(
        "select name from sqlite_master where type='table' and name not like 'sqlite_%'"
    ).fetchall():
        yield table, db.execute(f'select * from "{table}"').fetchall()


def pour(db: sqlite3.Connection, copies: Iterable[dict[str, list[Row]]]) -> None:
    """Write copies, without waiting for the disk: what is lost here is only a bench's."""
    db.execute("pragma journal_mode=off")
    db.execute("pragma synchronous=off")
    db.execute("pragma cache_size=-1000000")
    db.execute("begin")
    waiting: dict[str, list[Row]] = {}
    for number, copy in enumerate(copies, start=1):
        for table, rows in copy.items():
            waiting.setdefault(table, []).extend(rows)
        if number % CHUNK == 0:
            write(db, waiting)
    write(db, waiting)
    db.execute("commit")
    db.execute("pragma journal_mode=wal")


def write(db: sqlite3.Connection, waiting: dict[str, list[Row]]) -> None:
    for table, rows in waiting.items():
        if rows:
            db.executemany(f'insert into "{table}" values ({",".join("?" * len(rows[0]))})', rows)
            rows.clear()


async def make_patterns(stage: Stage, name: str) -> Service:
    """
    A service that has made a few hundred messages which wait a week for a receipt, and has been
    stopped.
    """
    service = await stage.service(name)
    await stage.aim([service], "none")
    for kind, count in ((FAR, 300), (STEP, 100)):
        await publish(stage, [service], count, kind)
    deadline = time.monotonic() + WAIT_SECONDS
    while (await stage.sink.ask("count"))["viber"] < 400:
        if time.monotonic() > deadline:
            raise BenchError(f"the messages to copy were not sent: {service.last_words()}")
        await asyncio.sleep(0.1)
    await service.stop()
    return service


async def ends_of(
    database: Path, first: str, last: str, due: Sequence[int], *, within: float
) -> list[int]:
    """
    When each of the messages from ``first`` to ``last`` ended (UTC ms), in the order of their ids,
    once the last of their timers, ``due`` then, has fired. Raises ``BenchError`` where that takes
    longer than ``within`` seconds.
    """
    deadline = time.monotonic() + within
    left = len(due)
    while left:
        await asyncio.sleep(POLL_SECONDS)
        left = await asyncio.to_thread(timers_between, database, min(due), max(due))
        if time.monotonic() > deadline:
            break
    with read_only(database) as db:
        query = (
            "select finished_at from messages where id between ? and ? and finished_at is not null"
            " order by id"
        )
        ended = [at for (at,) in db.execute(query, (first, last))]
    if left or len(ended) != len(due):
        raise BenchError(
            f"after {within:.0f} s {len(ended)} of {len(due)} timers had fired, and ended their"
            " messages"
        )
    return ended


def timers_between(database: Path, start: int, end: int) -> int:
    """
    Count the timers due between two instants (a look at a small table, which disturbs nobody).
    """
    with read_only(database) as db:
        found: int = db.execute(
            "select count(*) from timers where due_at between ? and ?", (start, end)
        ).fetchone()[0]
    return found


def created_at(database: Path, first: int) -> dict[int, int]:
    """
    When each event from number ``first`` on was accepted (UTC nanoseconds, whole milliseconds), by
    its number.
    """
    with read_only(database) as db:
        rows = db.execute("select state, created_at from messages order by id desc")
        found: dict[int, int] = {}
        for state, at in rows:
            event = decode_message(state).event_id
            if not event.startswith("e-") or int(event[2:]) < first:
                break
            found[int(event[2:])] = at * 1_000_000
        return found


@contextmanager
def read_only(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, closed at the end of the block."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    try:
        yield db
    finally:
        db.close()
