"""
The embedded store: SQLite in WAL mode with ``synchronous=FULL``, one connection that writes.

Reads run on a second connection in the event loop's thread, because a page in memory costs microseconds; commits, which
wait for the disk, run in a thread of their own. Only one process may have the file open for writing: a lock file beside
it says so, and names who.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson

from orchestrator.codec import decode_history, decode_message, encode_message
from orchestrator.core.message import TERMINAL, Message
from orchestrator.stores.port import (
    Changes,
    EventRow,
    Loaded,
    MessageRow,
    NeedsMigration,
    ReadyRow,
    StoredMessage,
    StoreInUse,
    Wanted,
    bucket_of,
)
from orchestrator.stores.sqlite_admin import SqliteAdmin

MIGRATIONS = Path(__file__).parent / "migrations" / "sqlite"
PAGE_CACHE_KIB = 64 * 1024
T = TypeVar("T")


class SqliteStore(SqliteAdmin):
    """
    A store in one file. ``path`` may be ``:memory:`` for tests (a shared cache in this process).

    ``inline``: commit in the caller's thread, for the simulator, whose time must not depend on threads.
    """

    def __init__(self, path: Path | str, *, inline: bool = False, migrate: bool = True) -> None:
        self.path = str(path)
        self._inline = inline
        self._migrate = migrate
        self._thread: ThreadPoolExecutor | None = None
        self._lock: IO[str] | None = None

    async def open(self) -> None:
        """Open and migrate the file. Raises ``StoreInUse`` where another process has it."""
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock_file(Path(self.path + ".lock"))
        self._writer = connect(self.path, self)
        if self._migrate:
            migrate(self._writer)
        elif not all(migration_status(self._writer).values()):
            self._writer.close()
            raise NeedsMigration(f"{self.path} needs a migration: run `kaskad migrate up`, or set `migrate: auto`")
        self._reader = self._writer if self.path == ":memory:" else connect(self.path, self)
        if not self._inline and self.path != ":memory:":
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def close(self) -> None:
        """Checkpoint and close; the lock is given up last."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._reader is not self._writer:
            self._reader.close()
        self._writer.execute("pragma wal_checkpoint(truncate)")
        self._writer.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction of the writing connection, off the loop."""

        def transaction() -> T:
            self._writer.execute("begin immediate")
            try:
                result = work(self._writer)
            except BaseException:
                self._writer.execute("rollback")
                raise
            self._writer.execute("commit")
            return result

        if self._thread is None:
            return transaction()
        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    # ---- the engine's transaction

    async def load(self, wanted: Wanted) -> Loaded:
        found = Loaded()
        db = self._reader
        for source, id in wanted.events:
            row = db.execute("select digest, messages, status from events where source=? and id=?", (source, id)).fetchone()
            if row:
                found.events[source, id] = EventRow(row[0], tuple(orjson.loads(row[1])), row[2])
        for provider, reference in wanted.references:
            query = "select message, attempt from provider_references where provider=? and reference=?"
            if row := db.execute(query, (provider, reference)).fetchone():
                found.references[provider, reference] = (row[0], row[1])
        for hash, channel in wanted.contacts:
            query = "select message, attempt from contacts where hash=? and channel=?"
            if row := db.execute(query, (hash, channel)).fetchone():
                found.contacts[hash, channel] = (row[0], row[1])
        for provider, reference in wanted.orphans:
            query = "select receipt from orphans where provider=? and reference=? order by at"
            if rows := db.execute(query, (provider, reference)).fetchall():
                found.orphans[provider, reference] = [row[0] for row in rows]
        for key in wanted.dedupes:
            query = "select message, until from dedupes where policy=? and recipient=? and key=?"
            if row := db.execute(query, key).fetchone():
                found.dedupes[key] = (row[0], row[1])
        for recipient in wanted.live_of:
            query = "select id from messages where recipient=? and finished_at is null order by id"
            found.live_of[recipient] = [row[0] for row in db.execute(query, (recipient,))]
        self._load_documents(wanted, found)
        return found

    def _load_documents(self, wanted: Wanted, found: Loaded) -> None:
        """The three tables of documents, in one query each."""
        db = self._reader
        for id, event, state in select_in(db, "select id, event, state from messages where id in", wanted.messages):
            found.messages[id] = MessageRow(decode_message(state), orjson.loads(event))
        for id, document in select_in(db, "select id, document from recipients where id in", wanted.recipients):
            found.recipients[id] = orjson.loads(document)
        for hash, document in select_in(db, "select hash, document from addresses where hash in", wanted.addresses):
            found.addresses[hash] = orjson.loads(document)

    async def commit(self, changes: Changes) -> None:
        await self._write(lambda db: write(db, changes))

    # ---- what waits

    async def claim(self, queue: str, limit: int, taken: Collection[tuple[str, int]]) -> list[ReadyRow]:
        rows = self._reader.execute(
            "select lane, since, message, step from ready where queue=? order by lane, since, message, step limit ?",
            (queue, limit + len(taken)),
        )
        free = [ReadyRow(queue, *row) for row in rows if (row[2], row[3]) not in taken]
        return free[:limit]

    async def queues(self) -> list[str]:
        # a loose index scan: one step of the index for each queue, however many rows wait in it
        return [
            row[0]
            for row in self._reader.execute(
                "with recursive q(queue) as (select min(queue) from ready union all "
                "select (select min(queue) from ready where queue > q.queue) from q where q.queue is not null) "
                "select queue from q where queue is not null"
            )
        ]

    async def due(self, now: int, limit: int) -> list[tuple[int, str]]:
        query = "select due_at, message from timers where due_at <= ? order by due_at, message limit ?"
        return list(self._reader.execute(query, (now, limit)))

    async def next_due(self) -> int | None:
        row = self._reader.execute("select min(due_at) from timers").fetchone()
        return row[0] if row else None

    async def depths(self) -> dict[tuple[str, int], int]:
        count = "select count(*) from (select 1 from ready where queue=? and lane=? limit 10000)"
        return {
            (queue, lane): self._reader.execute(count, (queue, lane)).fetchone()[0]
            for queue in await self.queues()
            for lane in range(4)
        }

    # ---- for people

    async def message(self, id: str) -> StoredMessage | None:
        row = self._reader.execute("select event, state, history from messages where id=?", (id,)).fetchone()
        if row is None:
            return None
        return StoredMessage(decode_message(row[1]), orjson.loads(row[0]), tuple(decode_history(row[2])))

    async def messages(
        self,
        *,
        recipient: str | None = None,
        policy: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[StoredMessage]:
        given = {"recipient": recipient, "policy": policy, "status": status}
        clauses = [f"{name}=?" for name, value in given.items() if value is not None]
        values: list[Any] = [value for value in given.values() if value is not None]
        if before is not None:
            clauses.append("id<?")
            values.append(before)
        where = f"where {' and '.join(clauses)}" if clauses else ""
        rows = self._reader.execute(f"select event, state from messages {where} order by id desc limit ?", (*values, limit))
        return [StoredMessage(decode_message(state), orjson.loads(event)) for event, state in rows]

    async def recipient(self, id: str) -> dict[str, Any] | None:
        row = self._reader.execute("select document from recipients where id=?", (id,)).fetchone()
        return orjson.loads(row[0]) if row else None

    async def address(self, hash: str) -> dict[str, Any] | None:
        row = self._reader.execute("select document from addresses where hash=?", (hash,)).fetchone()
        return orjson.loads(row[0]) if row else None


def select_in(db: sqlite3.Connection, query: str, keys: Collection[str]) -> Iterable[tuple[Any, ...]]:
    """Rows whose key is one of ``keys``, however many there are."""
    if not keys:
        return ()
    if len(keys) == 1:
        return db.execute(f"{query} (?)", tuple(keys)).fetchall()
    return db.execute(f"{query} (select value from json_each(?))", (json.dumps(sorted(keys)),)).fetchall()


def write(db: sqlite3.Connection, changes: Changes) -> None:
    """Everything of one batch, table by table."""
    many = db.executemany
    if changes.events:
        seen = [(s, i, d, st, orjson.dumps(ids).decode(), at) for s, i, d, st, ids, at in changes.events]
        many("insert into events (source, id, digest, status, messages, accepted_at) values (?,?,?,?,?,?)", seen)
    if changes.created:
        many("insert into messages values (?,?,?,?,?,?,?,?,?,?)", [created_row(*row) for row in changes.created])
    if changes.changed:
        query = "update messages set status=?, finished_at=?, state=?, history=cast(history||? as blob) where id=?"
        states = [(m.status.value, settled_at(m), encode_message(m), line, m.id) for m, line in changes.changed]
        many(query, states)
    if changes.ready_out:
        many(
            "delete from ready where queue=? and lane=? and since=? and message=? and step=?",
            ready_values(changes.ready_out),
        )
    if changes.ready_in:
        many("insert or ignore into ready values (?,?,?,?,?)", ready_values(changes.ready_in))
    if changes.timers_out:
        many("delete from timers where due_at=? and message=?", changes.timers_out)
    if changes.timers_in:
        many("insert or ignore into timers values (?,?)", changes.timers_in)
    if changes.references:
        many("insert or ignore into provider_references values (?,?,?,?)", changes.references)
    if changes.contacts:
        many("insert or replace into contacts values (?,?,?,?,?)", changes.contacts)
    if changes.recipients:
        people = [(id, bucket_of(id), document) for id, document in changes.recipients.items()]
        many("insert or replace into recipients values (?,?,?)", people)
    if changes.addresses:
        many("insert or replace into addresses values (?,?)", list(changes.addresses.items()))
    write_rest(db, changes)


def ready_values(rows: Sequence[ReadyRow]) -> list[tuple[str, int, int, str, int]]:
    return [(row.queue, row.lane, row.since, row.message, row.step) for row in rows]


def write_rest(db: sqlite3.Connection, changes: Changes) -> None:
    """What most batches do not have."""
    many = db.executemany
    if changes.raw_receipts:
        many("insert into raw_receipts (at, provider, body) values (?,?,?)", changes.raw_receipts)
    if changes.orphans:
        many("insert into orphans (provider, reference, at, receipt) values (?,?,?,?)", changes.orphans)
    if changes.orphans_joined:
        many("delete from orphans where provider=? and reference=?", changes.orphans_joined)
    if changes.dedupes:
        many("insert or replace into dedupes values (?,?,?,?,?)", changes.dedupes)
    if changes.outbox:
        many("insert into outbox (id, recipient, body) values (?,?,?)", changes.outbox)
    if changes.spent:
        query = (
            "insert into spending values (?,?,?) "
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
        db.execute("delete from contacts where message in (select id from messages where recipient=?)", (recipient,))
        db.execute("update messages set event=?, history=? where recipient=?", (b'{"ce":{},"data":{}}', b"", recipient))


def created_row(message: Message, event: bytes, history: bytes) -> tuple[Any, ...]:
    return (
        message.id,
        bucket_of(message.recipient),
        message.recipient,
        message.policy,
        message.status.value,
        message.created_at,
        settled_at(message),
        event,
        encode_message(message),
        history,
    )


def settled_at(message: Message) -> int | None:
    return message.finished_at if message.status in TERMINAL else None


def connect(path: str, owner: object) -> sqlite3.Connection:
    """A connection as every use of the file needs it."""
    target = f"file:kaskad-{id(owner)}?mode=memory&cache=shared" if path == ":memory:" else f"file:{path}"
    db = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("pragma busy_timeout=10000")
    db.execute(f"pragma cache_size=-{PAGE_CACHE_KIB}")
    db.execute("pragma temp_store=memory")
    return db


def lock_file(path: Path) -> IO[str]:
    """Take the file's lock, or say who has it."""
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise StoreInUse(
            f"{path.with_suffix('')} is in use by process {owner}. One process at a time may write an embedded store: "
            "stop that one, or use PostgreSQL for several."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def migration_files() -> Sequence[Path]:
    """The migrations in their order."""
    return sorted(MIGRATIONS.glob("*.sql"))


def migrate(db: sqlite3.Connection) -> list[str]:
    """Bring the schema up to date; the names of the migrations that were run. Each runs whole or not at all."""
    at = db.execute("pragma user_version").fetchone()[0]
    done: list[str] = []
    for number, file in enumerate(migration_files(), start=1):
        if number > at:
            db.executescript(f"begin immediate; {file.read_text()}; pragma user_version={number}; commit;")
            done.append(file.stem)
    return done


def migration_status(db: sqlite3.Connection) -> Mapping[str, bool]:
    """Each migration and whether it has been run."""
    at = db.execute("pragma user_version").fetchone()[0]
    return {file.stem: number <= at for number, file in enumerate(migration_files(), start=1)}


def migrate_file(path: Path, *, up: bool) -> dict[str, bool]:
    """
    The migrations of a file that no service has open: with ``up`` each that was run now, else each and whether it has been.

    Raises ``StoreInUse`` where a service has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_file(Path(f"{path}.lock"))
    db = connect(str(path), lock)
    try:
        return dict.fromkeys(migrate(db), True) if up else dict(migration_status(db))
    finally:
        db.close()
        lock.close()
