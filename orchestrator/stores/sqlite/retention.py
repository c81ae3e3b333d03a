"""Deletes rows of the embedded store whose time is over."""

from __future__ import annotations

import sqlite3

from orchestrator.stores.sqlite.database import QUERIES, SqliteDatabase
from orchestrator.stores.tables import RetentionTimes

PURGE_ROWS = 1_000
"""How many rows one transaction deletes at most, so that it never holds up the engine."""


class SqliteRetention(RetentionTimes, SqliteDatabase):
    """Implements ``RetentionStore``."""

    async def purge(self, now: int) -> None:
        limits = {"purge_raw_receipts": now - self.receipts_ms, "purge_outbox": now}
        for name, before in (self.limits(now) | limits).items():
            await self.execute(name, before, PURGE_ROWS)
        await self._write(lambda db: purge_messages(db, now - self.messages_ms))


def purge_messages(db: sqlite3.Connection, before: int) -> None:
    """Some of the messages that finished long ago, with everything that belongs to them."""
    ids = [(row[0],) for row in db.execute(QUERIES["old_messages"], (before, PURGE_ROWS))]
    for table in ("history", "message_events", "references", "messages"):
        db.executemany(QUERIES[f"purge_{table}"], ids)
