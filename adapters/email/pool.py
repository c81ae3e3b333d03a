"""
Open connections to one relay, kept for the next mail.

The most recently used connection is taken first, so that surplus ones grow idle and are closed. A
pooled connection may be dead: RSET after a refused mail, and MAIL itself, prove that it works
before any content is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import aiosmtplib

IDLE_SECONDS = 30.0
QUIT_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class PooledConnection:
    """
    One open connection: its number of mails, idle since when (loop time), whether it needs a RSET.
    """

    client: aiosmtplib.SMTP
    mails: int = 0
    idle_since: float = 0.0
    dirty: bool = False


class Pool:
    """
    The idle connections. One is closed after ``mails_max`` mails, or after ``IDLE_SECONDS`` without
    any.
    """

    def __init__(self, mails_max: int) -> None:
        self._mails_max = mails_max
        self._idle: list[PooledConnection] = []
        self._reaper: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> PooledConnection | None:
        """The most recently used idle connection, or None."""
        return self._idle.pop() if self._idle else None

    def give(self, connection: PooledConnection, *, dirty: bool) -> None:
        """Keep a connection for the next mail; ``dirty``: its last mail was refused midway."""
        if not connection.client.is_connected:
            connection.client.close()
        elif connection.mails >= self._mails_max:
            self._dismiss(connection)
        else:
            loop = asyncio.get_running_loop()
            connection.dirty, connection.idle_since = dirty, loop.time()
            self._idle.append(connection)
            if self._reaper is None:
                self._reaper = loop.call_later(IDLE_SECONDS, self._reap)

    def _reap(self) -> None:
        """
        Close connections that were idle for too long, and schedule the next look at the others.
        """
        self._reaper = None
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_SECONDS
        for connection in [one for one in self._idle if one.idle_since <= oldest]:
            self._idle.remove(connection)
            self._dismiss(connection)
        if self._idle:
            due_at = min(one.idle_since for one in self._idle) + IDLE_SECONDS
            self._reaper = loop.call_at(due_at, self._reap)

    def _dismiss(self, connection: PooledConnection) -> None:
        task = asyncio.get_running_loop().create_task(goodbye(connection))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def close(self) -> None:
        """Close every idle connection with QUIT, and wait for that."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        while self._idle:
            self._dismiss(self._idle.pop())
        await asyncio.gather(*self._goodbyes, return_exceptions=True)


async def goodbye(connection: PooledConnection) -> None:
    """Send QUIT if the relay still listens."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await connection.client.quit(timeout=QUIT_SECONDS)
    connection.client.close()
