"""
A store that is only looked into: nothing is locked, migrated or written.

For `kaskad check`, which may run beside a service and must not need one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg

from orchestrator.core.message import Message
from orchestrator.history.codec import decode_message
from orchestrator.stores.postgres.database import QUERIES as POSTGRES
from orchestrator.stores.postgres.session import SESSION
from orchestrator.stores.rows import TimerRow
from orchestrator.stores.sqlite.database import QUERIES as SQLITE

CONNECT_SECONDS = 2.0
QUERY_SECONDS = 10.0
UNREADABLE = (
    OSError,
    TimeoutError,
    ValueError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What a store raises that is away, empty, of another version, or whose address is wrong."""


class ReadOnly:
    """Answers ``under_way`` by ``fetch``, which runs one statement."""

    def __init__(self, fetch: Any) -> None:
        self._fetch = fetch

    async def under_way(self, after: TimerRow, limit: int) -> list[tuple[TimerRow, Message]]:
        rows: Sequence[Any] = await self._fetch(*after, limit)
        return [(TimerRow(*row[:2]), decode_message(row[2])) for row in rows]


@asynccontextmanager
async def opened(path: Path | None, url: str) -> AsyncIterator[ReadOnly]:
    """
    The file at ``path``, or the database at ``url`` if that is None. Raises one of ``UNREADABLE``.
    """
    if path is not None:
        uri = f"{path.absolute().as_uri()}?mode=ro"  # noqa: ASYNC240 - no file is touched
        with closing(sqlite3.connect(uri, uri=True, timeout=CONNECT_SECONDS)) as file:

            async def fetch(*values: Any) -> Sequence[Any]:
                return file.execute(SQLITE["under_way"], values).fetchall()

            yield ReadOnly(fetch)
        return
    database = await asyncpg.connect(
        url, timeout=CONNECT_SECONDS, command_timeout=QUERY_SECONDS, server_settings=SESSION
    )
    try:

        async def ask(*values: Any) -> Sequence[Any]:
            found: Sequence[Any] = await database.fetch(POSTGRES["under_way"], *values)
            return found

        yield ReadOnly(ask)
    finally:
        database.terminate()
