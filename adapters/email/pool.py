"""
Open connections to one relay, kept for the next mail.

The one that was used last is taken first, so that those which are not needed grow old and are sent
home. A connection is never trusted: RSET after a mail that was refused, and MAIL itself, prove that
it still lives before anything is at stake.
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
    One open connection: how many mails it carried, since when (loop time) it is idle, whether it
    wants a RSET.
    """

    client: aiosmtplib.SMTP
    mails: int = 0
    idle_since: float = 0.0
    dirty: bool = False


class Pool:
    """
    The idle connections. A connection is given back after a mail, or dropped; after ``mails_max``
    mails it says goodbye, and so it does after ``IDLE_SECONDS`` without any.
    """

    def __init__(self, mails_max: int) -> None:
        self._mails_max = mails_max
        self._idle: list[PooledConnection] = []
        self._reaper: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> PooledConnection | None:
        """The idle connection that was used last, None where a new one is needed."""
        return self._idle.pop() if self._idle else None

    def give(self, connection: PooledConnection, *, dirty: bool) -> None:
        """Keep a connection for the next mail; ``dirty``: its last one was refused midway."""
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
        """Dismiss what has been idle for too long, and come back for the rest."""
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
        """Say goodbye on every idle connection, and wait for it."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        while self._idle:
            self._dismiss(self._idle.pop())
        await asyncio.gather(*self._goodbyes, return_exceptions=True)


async def goodbye(connection: PooledConnection) -> None:
    """QUIT, where somebody still listens."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await connection.client.quit(timeout=QUIT_SECONDS)
    connection.client.close()
