"""
The embedded store: SQLite in WAL mode with ``synchronous=FULL``, one connection that writes.

Commits, which wait for the disk, run in a thread of their own; everything else runs in the event
loop, because a page in memory costs microseconds. The connection that writes keeps its pages from
one commit to the next, so what the engine reads is read there while nothing is being written, and
otherwise on a second one, which begins with none after each commit. Only one process may have the
file open for writing: a lock file beside it says so, and names who.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson

from orchestrator.history.codec import decode_history, decode_message
from orchestrator.stores.port import (
    ALL_LANES,
    Bucket,
    Changes,
    Loaded,
    LoadedAddresses,
    NeedsMigration,
    ReadyRow,
    StoredMessage,
    StoreInUse,
    Wanted,
    WantedAddresses,
    timers_of,
)
from orchestrator.stores.sqlite.admin import SqliteAdmin
from orchestrator.stores.sqlite.batch import (
    MESSAGE,
    NO_EVENT,
    MessageCache,
    load,
    load_addresses,
    write,
)
from orchestrator.stores.sqlite.bucket import TokenBucket

MIGRATIONS = Path(__file__).parent / "migrations"
PAGE_CACHE_KIB = 64 * 1024
PAGE_BYTES = 8_192
"""Of a new file: most rows are appended, and every page that a commit touches is written whole."""
CHECKPOINT_PAGES = 4_096
"""
How far (32 MiB) the log grows before it is copied into the file: a page that is written often is
copied once.
"""
T = TypeVar("T")


class SqliteStore(SqliteAdmin):
    """
    A store in one file. ``path`` may be ``:memory:`` for tests (a shared cache in this process).

    ``inline``: commit in the caller's thread, for the simulator, whose time must not depend on
    threads.
    """

    shared = False

    def __init__(self, path: Path | str, *, inline: bool = False, migrate: bool = True) -> None:
        self.path = str(path)
        self._inline = inline
        self._migrate = migrate
        self._thread: ThreadPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._lock: IO[str] | None = None
        self._memory = MessageCache()

    async def open(self) -> None:
        """Open and migrate the file. Raises ``StoreInUse`` where another process has it."""
        if self.path != ":memory:":
            self._lock = prepare_file(Path(self.path))
        self._writer = connect(self.path, self)
        if self._migrate:
            migrate(self._writer)
        elif not all(migration_status(self._writer).values()):
            self._writer.close()
            raise NeedsMigration(
                f"{self.path} needs a migration: run `kaskad migrate up`, or set `migrate: auto`"
            )
        self._reader = self._writer if self.path == ":memory:" else connect(self.path, self)
        if not self._inline and self.path != ":memory:":
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def join(self) -> None:
        """All the work is this process's."""

    async def leave(self) -> None:
        """There is nobody to give it to."""

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
        await self._turn.acquire()
        return await self._finish(work)

    async def _finish(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        The rest of a turn, which is over when ``work`` is committed, whether or not anybody still
        waits for that.
        """
        if self._thread is None:
            try:
                return self._transaction(work)
            finally:
                self._turn.release()
        working = asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)
        working.add_done_callback(lambda _: self._turn.release())
        return await asyncio.shield(working)

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        ``work`` and its commit, or nothing; where a transaction has begun, together with what was
        done in it.
        """
        db = self._writer
        try:
            if not db.in_transaction:
                db.execute("begin immediate")
            result = work(db)
            db.execute("commit")
        except BaseException:
            self._undo()
            raise
        return result

    def _undo(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("rollback")

    @property
    def _committed(self) -> sqlite3.Connection:
        """A connection that sees what is committed, and only that."""
        return self._reader if self._turn.locked() else self._writer

    # ---- the engine's transaction

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[SqliteStore]:
        """
        The one engine of the one process: nobody else could change what it sees between its load
        and its commit.
        """
        yield self

    async def load(self, wanted: Wanted) -> Loaded:
        return load(self._committed, self._memory, wanted)

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        return load_addresses(self._committed, self._memory, wanted)

    async def commit(self, changes: Changes) -> None:
        """
        The statements run here and only their end, which waits for the disk, in the thread: each of
        them lets go of the interpreter, and two threads that pass it to and fro spend more on that
        than on the rows.
        """
        await self._turn.acquire()
        try:
            self._writer.execute("begin immediate")
            write(self._writer, changes)
        except BaseException:
            self._undo()
            self._turn.release()
            raise
        known = self._memory.withdraw(changes)
        await self._finish(lambda db: None)
        self._memory.take(changes, known)

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        return TokenBucket(rate, monotonic)

    def on_wake(self, wake: Callable[[str], None]) -> None:
        """There is nobody else."""

    # ---- what waits

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[tuple[str, int]],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        rows = self._committed.execute(
            "select lane, since, message, step from ready where queue=? and lane between ? and ? "
            "order by lane, since, message, step limit ?",
            (queue, *lanes, limit + len(taken)),
        )
        free = [ReadyRow(queue, *row) for row in rows if (row[2], row[3]) not in taken]
        return free[:limit]

    async def queues(self) -> list[str]:
        # a loose index scan: one step of the index for each queue, however many rows wait in it
        return [
            row[0]
            for row in self._committed.execute(
                "with recursive q(queue) as (select min(queue) from ready union all select (select"
                " min(queue) from ready where queue > q.queue) from q where q.queue is not null)"
                " select queue from q where queue is not null"
            )
        ]

    async def due(self, now: int, limit: int, otp: bool = False) -> list[tuple[int, str]]:
        query = (
            f"select due_at, message from timers where due_at <= ? and {timers_of(otp)} order by"
            " due_at, message limit ?"
        )
        return list(self._committed.execute(query, (now, limit)))

    async def next_due(self, otp: bool = False) -> int | None:
        row = self._committed.execute(
            f"select min(due_at) from timers where {timers_of(otp)}"
        ).fetchone()
        return row[0] if row else None

    async def depths(self) -> dict[tuple[str, int], int]:
        count = "select count(*) from (select 1 from ready where queue=? and lane=? limit 10000)"
        return {
            (queue, lane): self._committed.execute(count, (queue, lane)).fetchone()[0]
            for queue in await self.queues()
            for lane in range(4)
        }

    # ---- for people

    async def message(self, id: str) -> StoredMessage | None:
        row = self._reader.execute(f"{MESSAGE} (?)", (id,)).fetchone()
        if row is None:
            return None
        lines = self._reader.execute(
            "select lines from message_events where message=?", (id,)
        ).fetchall()
        lines += self._reader.execute(
            "select lines from history where message=? order by rowid", (id,)
        ).fetchall()
        history = tuple(decode_history(b"".join(line[0] for line in lines)))
        return StoredMessage(decode_message(row[1]), orjson.loads(row[2] or NO_EVENT), history)

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
        query = (
            f"select state, document from messages left join message_events on message=id {where}"
            " order by id desc limit ?"
        )
        rows = self._reader.execute(query, (*values, limit))
        return [
            StoredMessage(decode_message(state), orjson.loads(event or NO_EVENT))
            for state, event in rows
        ]

    async def recipient(self, id: str) -> dict[str, Any] | None:
        row = self._reader.execute("select document from recipients where id=?", (id,)).fetchone()
        return orjson.loads(row[0]) if row else None

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        return load_addresses(self._committed, self._memory, WantedAddresses(set(hashes))).addresses


def connect(path: str, owner: object) -> sqlite3.Connection:
    """A connection as every use of the file needs it."""
    target = (
        f"file:kaskad-{id(owner)}?mode=memory&cache=shared"
        if path == ":memory:"
        else f"file:{path}"
    )
    db = sqlite3.connect(
        target, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    db.execute(f"pragma page_size={PAGE_BYTES}")
    db.execute("pragma journal_mode=wal")
    db.execute(f"pragma wal_autocheckpoint={CHECKPOINT_PAGES}")
    db.execute("pragma synchronous=full")
    db.execute("pragma busy_timeout=10000")
    db.execute(f"pragma cache_size=-{PAGE_CACHE_KIB}")
    db.execute("pragma temp_store=memory")
    return db


def prepare_file(path: Path) -> IO[str]:
    """
    Make the file where there is none, for its owner alone: it holds people's addresses and the
    signing keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_file(Path(f"{path}.lock"))
    path.touch(mode=0o600)
    return lock


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
            f"{path.with_suffix('')} is in use by process {owner}. One process at a time may write"
            " an embedded store: stop that one, or use PostgreSQL for several."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def migration_files() -> Sequence[Path]:
    """The migrations in their order."""
    return sorted(MIGRATIONS.glob("*.sql"))


def migrate(db: sqlite3.Connection) -> list[str]:
    """
    Bring the schema up to date; the names of the migrations that were run. Each runs whole or not
    at all.
    """
    at = db.execute("pragma user_version").fetchone()[0]
    done: list[str] = []
    for number, file in enumerate(migration_files(), start=1):
        if number > at:
            db.executescript(
                f"begin immediate; {file.read_text()}; pragma user_version={number}; commit;"
            )
            done.append(file.stem)
    return done


def migration_status(db: sqlite3.Connection) -> Mapping[str, bool]:
    """Each migration and whether it has been run."""
    at = db.execute("pragma user_version").fetchone()[0]
    return {file.stem: number <= at for number, file in enumerate(migration_files(), start=1)}


def migrate_file(path: Path, *, up: bool) -> dict[str, bool]:
    """
    The migrations of a file that no service has open: with ``up`` each that was run now, else each
    and whether it has been.

    Raises ``StoreInUse`` where a service has it.
    """
    lock = prepare_file(path)
    db = connect(str(path), lock)
    try:
        return dict.fromkeys(migrate(db), True) if up else dict(migration_status(db))
    finally:
        db.close()
        lock.close()
