"""
Receipts on their way: when each leaves, and what its receiver answered.

Receipts of one message leave in their order; one that is not answered with a 2xx is tried again in
the background, as providers do, while those a browser or a mail program sends are tried once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog

from orchestrator.sandbox.inbox import Inbox, InboxEntry
from orchestrator.sandbox.script import Planned, RequestBehaviour

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 1.0
ANSWER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One HTTP request to a receiver of receipts. ``repeat``: try again if it is refused."""

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    repeat: bool = True


Make = Callable[[InboxEntry, Planned], Post | None]


class Courier:
    """
    Sends receipts. ``time_scale`` multiplies every delay; ``tries`` bounds the tries of a receipt.
    """

    def __init__(self, inbox: Inbox, *, time_scale: float, tries: int) -> None:
        self._inbox = inbox
        self._time_scale = time_scale
        self._tries = tries
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the connection pool."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Drop unsent receipts and close the pool."""
        await self.drop()
        if self._session is not None:
            await self._session.close()

    async def drop(self) -> None:
        """Forget all receipts that were not sent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def pending(self) -> int:
        """Messages with unsent receipts, plus receipts that are tried again."""
        return len(self._tasks)

    def use_time_scale(self, time_scale: float) -> None:
        """Let delays that begin from now on run at another pace."""
        self._time_scale = time_scale

    async def pause(self, seconds: float) -> None:
        """Sleep for scripted seconds."""
        await asyncio.sleep(seconds * self._time_scale)

    def plan(self, entry: InboxEntry, behaviour: RequestBehaviour, make: Make) -> None:
        """Send the receipts of ``behaviour`` in the background, at their times from now."""
        if behaviour.receipts:
            self._start(self._run(entry, behaviour, make))

    async def send_now(self, entry: InboxEntry, behaviour: RequestBehaviour, make: Make) -> None:
        """Send all receipts at once, in their order, and return when each has been answered."""
        for planned in behaviour.receipts:
            await self._deliver(entry, planned, make, behaviour.twice)

    async def deliver(self, entry: InboxEntry, planned: Planned, make: Make) -> str:
        """Send one receipt now; returns the HTTP status, an error's name, or "not reported"."""
        self._inbox.mark(entry, planned.state)
        post = make(entry, planned)
        if post is None:
            self._inbox.posted(entry, planned.state, None, "not reported")
            return "not reported"
        return await self.offer(post, entry, planned.state)

    async def offer(self, post: Post, entry: InboxEntry | None, state: str) -> str:
        """Send a request now; if it is refused and may be repeated, try again in the background."""
        result = await self._send(post, entry, state, 1)
        if post.repeat and not result.startswith("2") and self._tries > 1:
            self._start(self._again(post, entry, state))
        return result

    async def fetch(self, post: Post) -> tuple[str, bytes]:
        """
        Send a request once; returns its HTTP status (or the error's name) and the answer's
        beginning.
        """
        assert self._session is not None
        try:
            async with self._session.request(
                post.method,
                post.url,
                data=post.body or None,
                headers=dict(post.headers),
                allow_redirects=False,
            ) as reply:
                return str(reply.status), await reply.content.read(ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__, b""

    async def _run(self, entry: InboxEntry, behaviour: RequestBehaviour, make: Make) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for planned in behaviour.receipts:
            await asyncio.sleep(max(0.0, start + planned.after * self._time_scale - loop.time()))
            await self._deliver(entry, planned, make, behaviour.twice)

    async def _deliver(self, entry: InboxEntry, planned: Planned, make: Make, twice: bool) -> None:
        for _ in range(2 if twice else 1):
            await self.deliver(entry, planned, make)

    async def _again(self, post: Post, entry: InboxEntry | None, state: str) -> None:
        for attempt in range(2, self._tries + 1):
            await self.pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 2))
            if (await self._send(post, entry, state, attempt)).startswith("2"):
                return

    async def _send(self, post: Post, entry: InboxEntry | None, state: str, attempt: int) -> str:
        result, _ = await self.fetch(post)
        self._inbox.posted(entry, state, post.url, result, attempt)
        if attempt in (1, self._tries) and not result.startswith(("2", "3")):
            log.warning("sandbox.receipt_rejected", state=state, result=result, attempt=attempt)
        return result

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("sandbox.receipt_failed", exc_info=task.exception())
