"""Deletes rows of the embedded store whose time is over."""

from __future__ import annotations

import json
import sqlite3

from orchestrator.stores.sqlite.database import QUERIES, SqliteDatabase
from orchestrator.stores.tables import DAY_MS, RetentionTimes

PURGE_ROWS = 500
"""
How many rows (or messages, with all that belongs to them) one transaction deletes at most: a few
hundredths of a second in which the engine waits.
"""
OUTBOX_KEPT_MS = 7 * DAY_MS


class SqliteRetention(RetentionTimes, SqliteDatabase):
    """Implements ``RetentionStore``; ``sinks`` are those that are configured, None if unknown."""

    sinks: tuple[str, ...] | None = None

    async def purge(self, now: int) -> bool:
        limits = {**self.limits(now), "purge_raw_receipts": now - self.receipts_ms}
        full = False
        for name, before in limits.items():
            full |= await self.execute(name, before, PURGE_ROWS) >= PURGE_ROWS
        full |= await self._purge_outbox(now) >= PURGE_ROWS
        before = now - self.messages_ms
        async with self.deciding:
            full |= await self._write(lambda db: purge_messages(db, before)) >= PURGE_ROWS
        if not full:
            await self.purge_the_rare(now)
            await self.overwrite_erased()
        return full

    async def _purge_outbox(self, now: int) -> int:
        if self.sinks is None:
            return 0
        sinks = json.dumps(self.sinks)
        await self.execute("purge_sinks", sinks)
        return await self.execute("purge_outbox", now - OUTBOX_KEPT_MS, PURGE_ROWS, sinks)


def purge_messages(db: sqlite3.Connection, before: int) -> int:
    """
    Some of the messages that finished long ago, with everything that belongs to them; returns how
    many.
    """
    ids = [(row[0],) for row in db.execute(QUERIES["old_messages"], (before, PURGE_ROWS))]
    for table in ("history", "message_events", "joined_events", "references", "messages"):
        db.executemany(QUERIES[f"purge_{table}"], ids)
    return len(ids)
