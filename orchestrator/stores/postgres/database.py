"""A pool of connections to PostgreSQL, and the statements that run on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from orchestrator.stores.audit import AuditNote, entry_of
from orchestrator.stores.counts import KnownKeys
from orchestrator.stores.port import NeedsMigration, StoreAway
from orchestrator.stores.postgres.cache import MessageCache
from orchestrator.stores.postgres.schema import (
    AUDIT_LOCK,
    migrate,
    migration_status,
    prepare_partitions,
)
from orchestrator.stores.postgres.session import (
    AWAY,
    BUSY,
    CONNECT_SECONDS,
    make_pool,
    place,
    translated,
)
from orchestrator.stores.sql import Driver, read_queries

QUERIES = read_queries(Path(__file__).parent / "queries")


class PostgresDatabase(Driver):
    """
    ``url`` as libpq takes it; ``now`` returns UTC milliseconds. ``member`` names this process among
    those that share the store; ``sinks`` are the names of the receivers of status events.
    """

    queries = QUERIES
    parameter = "$"

    def __init__(
        self,
        url: str,
        *,
        member: str,
        now: Callable[[], int],
        sinks: tuple[str, ...] = (),
        migrate: bool = True,
    ) -> None:
        self._url = url
        self._now = now
        self._migrate = migrate
        self.member = member
        self.sinks = sinks
        self.cache = MessageCache()
        self.known_keys = KnownKeys()

    async def open(self) -> None:
        """
        Connect and migrate. Raises ``OSError`` if the database cannot be reached or must be
        migrated first.
        """
        try:
            await self._prepare()
            self._pool = await make_pool(self._url)
        except NeedsMigration:
            raise
        except (*AWAY, asyncpg.PostgresError, TimeoutError, ValueError) as error:
            raise ConnectionError(
                f"the store at {place(self._url)} cannot be used: {error}"
            ) from error

    async def _prepare(self) -> None:
        """Bring the schema up to date before anything uses it."""
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            if self._migrate:
                await migrate(connection)
                await prepare_partitions(connection, self._now())
            elif not all((await migration_status(connection)).values()):
                raise NeedsMigration(
                    f"the store at {place(self._url)} needs a migration: run `kaskad migrate up`,"
                    " or set `migrate: auto`"
                )
        finally:
            await connection.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """
        A connection of the pool; its errors are the store's. One that says the store is away is
        not used again: after a failover it would lead to the old server for ever.
        """
        async with translated(), self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
            try:
                yield connection
            except (StoreAway, *AWAY) as error:
                if not isinstance(error, BUSY):
                    connection.terminate()
                raise

    @staticmethod
    def many(values: Collection[str]) -> Any:
        return list(values)

    async def fetch_text(self, text: str, *values: Any) -> Sequence[Any]:
        async with self.connection() as connection:
            return list(await connection.fetch(text, *values))

    async def execute(self, name: str, *values: Any) -> int:
        async with self.connection() as connection:
            return affected(await connection.execute(QUERIES[name], *values))

    async def change(self, name: str | None, values: Sequence[Any], note: AuditNote | None) -> int:
        async with self.connection() as connection, connection.transaction():
            changed = 0
            if name is not None:
                changed = affected(await connection.execute(QUERIES[name], *values))
            if note is not None and (changed or name is None):
                await append_audit(connection, [note])
            return changed

    async def transact(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        async with self.connection() as connection, connection.transaction():
            for text, values in statements:
                await connection.execute(text, *values)

    async def execute_many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self.connection() as connection:
            await connection.executemany(QUERIES[name], rows)


async def append_audit(connection: Any, notes: Sequence[AuditNote]) -> None:
    """
    Continue the audit log within the open transaction. Its lock is the last one that a transaction
    takes, so no two ever wait for each other.
    """
    if notes:
        await connection.execute("select pg_advisory_xact_lock($1)", AUDIT_LOCK)
    for note in notes:
        if await connection.fetchval(QUERIES["find_audit"], note.id) is None:
            last = await connection.fetchrow(QUERIES["last_audit"])
            await connection.execute(QUERIES["add_audit"], *entry_of(last, note))


def affected(command: str) -> int:
    """The number of rows that a command changed, from its tag (``UPDATE 1``)."""
    return int(command.rpartition(" ")[2])
