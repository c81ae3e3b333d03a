"""
PostgreSQL: one store for many processes.

Caps, consent and state are exact because of locks: a unit takes an advisory lock for each recipient
and then for each address and reference that it touches, in sorted order, before it reads them, and
keeps them until it ends. Nothing else is locked, and no row is rewritten to lock it. Sessions have
timeouts, so a process that stops in the middle of a unit loses it after ten seconds and the others
go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import FreeCode
from orchestrator.stores.postgres import loading
from orchestrator.stores.postgres.bucket import PostgresBucket
from orchestrator.stores.postgres.database import affected, append_audit
from orchestrator.stores.postgres.members import PostgresMembership
from orchestrator.stores.postgres.retention import PostgresRetention
from orchestrator.stores.postgres.schema import SECRETS_LOCK
from orchestrator.stores.postgres.session import roll_back, translated
from orchestrator.stores.postgres.writing import write
from orchestrator.stores.rates import Bucket
from orchestrator.stores.rows import Changes, Loaded, LoadedAddresses, Wanted, WantedAddresses
from orchestrator.stores.tables import Tables, secret_to_add


class PostgresStore(Tables, PostgresRetention, PostgresMembership):
    """All ports of one process; see ``PostgresDatabase`` for the arguments."""

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[PostgresUnit]:
        async with self.connection() as connection:
            await connection.execute("begin")
            unit = PostgresUnit(self, connection)
            try:
                yield unit
            finally:
                if not unit.committed:
                    await roll_back(connection)

    async def load(self, wanted: Wanted) -> Loaded:
        async with self.connection() as connection:
            return await loading.load(connection, wanted, self.cache, lock=False)

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        wanted = WantedAddresses(set(hashes))
        async with self.connection() as connection:
            return (await loading.load_addresses(connection, wanted, lock=False)).addresses

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        return PostgresBucket(self.fetch, provider, rate, monotonic)

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        await self.execute("delivered", sink, list(sequences))

    async def add_secret(
        self,
        purpose: str,
        secret: bytes,
        at: int,
        *,
        unless_since: int | None = None,
        note: AuditNote | None = None,
    ) -> None:
        name, *values = secret_to_add(purpose, secret, at, unless_since)
        async with self.connection() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", SECRETS_LOCK)
            added = affected(await connection.execute(self.queries[name], *values))
            await append_audit(connection, [note] if added and note is not None else [])
        if added:
            await self._notify("keys")


class PostgresUnit:
    """One transaction on a connection of its own."""

    def __init__(self, store: PostgresStore, connection: Any) -> None:
        self._store = store
        self._connection = connection
        self.committed = False

    async def load(self, wanted: Wanted) -> Loaded:
        async with translated():
            return await loading.load(self._connection, wanted, self._store.cache, lock=True)

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        async with translated():
            return await loading.load_addresses(self._connection, wanted, lock=True)

    async def load_codes(self, wanted: Mapping[str, int]) -> dict[str, list[FreeCode]]:
        async with translated():
            return {
                pool: await loading.load_codes(self._connection, pool, count)
                for pool, count in sorted(wanted.items())
            }

    async def commit(self, changes: Changes) -> None:
        try:
            async with translated():
                changes.count_keys = self._store.known_keys.unknown(changes.counts)
                slot = self._store.slot
                version = await write(self._connection, changes, self._store.sinks, slot)
                await self._connection.execute("commit")
                self.committed = True
        finally:
            if changes.pauses:  # a commit that raises may have happened all the same
                await self._store.announce_pauses()
        self._store.cache.take(changes, version)
        self._store.known_keys.take(changes.count_keys)
        self._store.announce(changes)
