"""
The embedded store: one file, one process. A lock file beside it names the process that has it open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.stores.code_rows import FreeCode
from orchestrator.stores.rates import Bucket
from orchestrator.stores.rows import (
    Changes,
    Loaded,
    LoadedAddresses,
    MemberRow,
    Wanted,
    WantedAddresses,
)
from orchestrator.stores.sqlite import batch
from orchestrator.stores.sqlite.bucket import TokenBucket
from orchestrator.stores.sqlite.database import QUERIES, SqliteDatabase
from orchestrator.stores.sqlite.errors import translated
from orchestrator.stores.sqlite.retention import SqliteRetention
from orchestrator.stores.tables import Tables


class SqliteBatches(SqliteDatabase):
    """
    Implements ``BatchStore`` and its unit: the one engine of the one process decides alone, so
    nothing changes between its load and its commit.
    """

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[SqliteBatches]:
        async with self.deciding:
            yield self

    async def load(self, wanted: Wanted) -> Loaded:
        with translated():
            return batch.load(self._committed, self.cache, wanted)

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        with translated():
            return batch.load_addresses(self._committed, self.cache, wanted)

    async def load_codes(self, wanted: Mapping[str, int]) -> dict[str, list[FreeCode]]:
        with translated():
            return {
                pool: [
                    FreeCode(*row)
                    for row in self._committed.execute(QUERIES["free_codes"], (pool, count))
                ]
                for pool, count in wanted.items()
            }

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        return (await self.load_addresses(WantedAddresses(set(hashes)))).addresses

    async def commit(self, changes: Changes) -> None:
        """
        The statements run here; only the commit, which waits for the disk, runs in the thread. Each
        statement releases the interpreter lock, and two threads that pass it to and fro spend more
        on that than on the rows.
        """
        await self._turn.acquire()
        try:
            with translated():
                if changes.erased:
                    self.prepare_to_erase()
                self._writer.execute("begin immediate")
                changes.count_keys = self.known_keys.unknown(changes.counts)
                batch.write(self._writer, changes)
        except BaseException:
            self._undo()
            self._turn.release()
            raise
        known = self.cache.withdraw(changes)
        try:
            await self._finish(lambda db: None)
        finally:
            if changes.pauses:  # a commit that raises may have happened all the same
                self._wake("pauses")
        self.cache.take(changes, known)
        self.known_keys.take(changes.count_keys)

    def on_wake(self, wake: Callable[[str], None]) -> None:
        self._wake = wake

    _wake: Callable[[str], None] = staticmethod(lambda what: None)  # until somebody listens


class SqliteStore(Tables, SqliteRetention, SqliteBatches):
    """All ports of one process on one file."""

    shared = False

    def __init__(
        self,
        path: Path | str,
        *,
        sinks: tuple[str, ...] | None = None,
        inline: bool = False,
        migrate: bool = True,
    ) -> None:
        super().__init__(path, inline=inline, migrate=migrate)
        self.sinks = sinks

    async def join(self) -> None:
        """All the work is this process's already."""

    async def leave(self) -> None:
        """There is no other process."""

    async def members(self) -> list[MemberRow]:
        return []

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        return TokenBucket(rate, monotonic)

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        await self.execute("delivered", sink, max(sequences))
