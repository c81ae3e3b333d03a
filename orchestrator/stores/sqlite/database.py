"""
SQLite in WAL mode with ``synchronous=FULL``, one connection that writes.

Commits, which wait for the disk, run in a thread of their own; everything else runs in the event
loop, because a page in memory costs microseconds. The connection that writes keeps its pages from
one commit to the next, so reads use it while nothing is being written. Otherwise they use a second
connection, whose cache is empty after each commit.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from orchestrator.stores.audit import AuditNote, entry_of
from orchestrator.stores.counts import KnownKeys
from orchestrator.stores.port import NeedsMigration
from orchestrator.stores.sql import Driver, read_queries
from orchestrator.stores.sqlite.cache import RowCache
from orchestrator.stores.sqlite.errors import translated, unusable
from orchestrator.stores.sqlite.schema import connect, migrate, migration_status, prepare_file

T = TypeVar("T")
QUERIES = {
    name: re.sub(r"\$(\d)", r"?\1", text)
    for name, text in read_queries(Path(__file__).parent / "queries").items()
}


class SqliteDatabase(Driver):
    """
    One file, open for writing. ``path`` may be ``:memory:`` for tests (a cache shared within this
    process).

    ``inline``: commit in the caller's thread, for the simulator, whose time must not depend on
    threads.
    """

    queries = QUERIES
    parameter = "?"
    share = ()

    def __init__(self, path: Path | str, *, inline: bool = False, migrate: bool = True) -> None:
        self.path = str(path)
        self._inline = inline
        self._migrate = migrate
        self._thread: ThreadPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self.deciding = asyncio.Lock()
        """Held by a batch, and by what deletes rows that a batch may have loaded."""
        self._lock: IO[str] | None = None
        self.cache = RowCache()
        self.known_keys = KnownKeys()
        self._erased = False

    async def open(self) -> None:
        """
        Open and migrate the file. Raises ``StoreInUse`` if another process has it,
        ``NeedsMigration``, and ``OSError`` if it cannot be used.
        """
        in_file = self.path != ":memory:"
        with unusable(self.path):
            if in_file:
                self._lock = prepare_file(Path(self.path))
            self._writer = connect(self.path, self)
            if self._migrate:
                migrate(self._writer)
            elif not all(migration_status(self._writer).values()):
                self._writer.close()
                fix = "run `kaskad migrate up`, or set `migrate: auto`"
                raise NeedsMigration(f"{self.path} needs a migration: {fix}")
            self._reader = connect(self.path, self) if in_file else self._writer
        if in_file and not self._inline:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def close(self) -> None:
        """Checkpoint and close; the lock is released last."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._reader is not self._writer:
            self._reader.close()
        with suppress(sqlite3.Error):  # the log beside the file has everything, too
            self._writer.execute("pragma wal_checkpoint(truncate)")
        self._writer.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def _committed(self) -> sqlite3.Connection:
        """A connection that sees what is committed, and only that."""
        return self._reader if self._turn.locked() else self._writer

    @staticmethod
    def many(values: Collection[str]) -> Any:
        return json.dumps(list(values))

    async def fetch_text(self, text: str, *values: Any) -> Sequence[Any]:
        with translated():
            return self._committed.execute(text, values).fetchall()

    async def execute(self, name: str, *values: Any) -> int:
        return await self._write(lambda db: db.execute(QUERIES[name], values).rowcount)

    async def change(self, name: str | None, values: Sequence[Any], note: AuditNote | None) -> int:
        def run(db: sqlite3.Connection) -> int:
            changed = 0 if name is None else db.execute(QUERIES[name], values).rowcount
            if note is not None and (changed or name is None):
                append_audit(db, [note])
            return changed

        return await self._write(run)

    async def transact(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        def run(db: sqlite3.Connection) -> None:
            for text, values in statements:
                db.execute(text, values)

        await self._write(run)

    async def execute_many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._write(lambda db: db.executemany(QUERIES[name], rows))

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction of the writing connection, off the loop."""
        await self._turn.acquire()
        return await self._finish(work)

    def prepare_to_erase(self) -> None:
        """What is deleted from now on is overwritten in the file, not only let go."""
        self._erased = True
        self._writer.execute("pragma secure_delete=on")

    async def overwrite_erased(self) -> None:
        """Empty the log after an erasure: it has copies of what was erased."""
        if not self._erased:
            return
        self._erased = False
        async with self._turn:
            if self._thread is None:
                empty_log(self._writer)
            else:
                loop = asyncio.get_running_loop()
                await asyncio.shield(loop.run_in_executor(self._thread, empty_log, self._writer))

    async def _finish(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Finish a turn. It ends when ``work`` is committed, even if its caller no longer waits.
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
        """Run and commit ``work``, together with the open transaction if there is one."""
        db = self._writer
        try:
            with translated():
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
            with suppress(sqlite3.Error):  # what failed is raised already
                self._writer.execute("rollback")


def append_audit(db: sqlite3.Connection, notes: Sequence[AuditNote]) -> None:
    """Continue the audit log within the open transaction."""
    for note in notes:
        if db.execute(QUERIES["find_audit"], (note.id,)).fetchone() is None:
            last = db.execute(QUERIES["last_audit"]).fetchone()
            db.execute(QUERIES["add_audit"], entry_of(last, note))


def empty_log(db: sqlite3.Connection) -> None:
    db.execute("pragma wal_checkpoint(truncate)")
    db.execute("pragma secure_delete=fast")
