"""Makes the partitions of the coming weeks, and deletes what is past its time."""

from __future__ import annotations

from typing import Any

from orchestrator.core.counts import day_number
from orchestrator.stores.postgres.database import QUERIES, PostgresDatabase, affected
from orchestrator.stores.postgres.schema import (
    BY_MESSAGE,
    PARTITION_LOCK,
    drop_partitions,
    first_id,
    make_partitions,
)
from orchestrator.stores.tables import DAY_MS, RetentionTimes

PURGE_ROWS = 5_000


class PostgresRetention(RetentionTimes, PostgresDatabase):
    """Implements ``RetentionStore``."""

    async def purge(self, now: int) -> bool:
        """One process of the installation does it, whichever comes first."""
        full = False
        async with self.connection() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", PARTITION_LOCK):
                return False
            try:
                await make_partitions(connection, now)
                await self._drop(connection, now)
                for name, before in self.limits(now).items():
                    done = await connection.execute(QUERIES[name], before, PURGE_ROWS)
                    full |= affected(done) >= PURGE_ROWS
                # of the days before yesterday: the others are still counted in all the time
                before = day_number(now - DAY_MS, "UTC")
                await connection.execute(QUERIES["fold_counts"], before, PURGE_ROWS)
                done = await connection.execute(QUERIES["purge_outbox"], PURGE_ROWS)
                full |= affected(done) >= PURGE_ROWS
            finally:
                await connection.execute("select pg_advisory_unlock($1)", PARTITION_LOCK)
        if not full:
            await self.purge_the_rare(now)
        return full

    async def _drop(self, connection: Any, now: int) -> None:
        """Drop whole weeks of messages, but none that still has a live one."""
        oldest = await connection.fetchval(QUERIES["oldest_message"])
        before = now - self.messages_ms
        if oldest is None or oldest >= first_id(before):
            for table in BY_MESSAGE:
                await drop_partitions(connection, table, before)
        await drop_partitions(connection, "raw_receipts", now - self.receipts_ms)
