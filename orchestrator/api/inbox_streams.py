"""
Live streams of inboxes (HTML, "Server-sent events"): a page learns at once that something changed.

One task of a process looks, several times a second, which of the inboxes with an open stream have
another number in the store, in one query. So it does not matter which process made a change, and a
stream costs a connection and nothing else. It says that there is something new, never what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import orjson
import structlog
from aiohttp import web
from msgspec import Meta

from orchestrator.api.ports import ApiDeps
from orchestrator.primitives.waiting import set_within
from orchestrator.stores.item_rows import InboxState
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

LOOK_SECONDS = 0.3
HEARTBEAT_SECONDS = 15.0
STREAMS_MAX = 4_000
PERSON_STREAMS_MAX = 20
UNREAD_BYTES_MAX = 32 * 1024
"""A stream whose reader has left so much unread is ended."""
AT_ONCE = 100
"""After so many streams the loop lets others work."""

HEARTBEAT = b": \n\n"
EXPIRED = b"event: expired\ndata: {}\n\n"
COME_LATER = b"retry: 30000\n: too many streams are open\n\n"
"""
A refusal by status would end a browser's ``EventSource`` for good, so this one is a stream that
ends at once and says when to try again.
"""


class StreamEventView(TypedDict):
    """One event of a stream."""

    event: Literal["change", "expired"]
    id: NotRequired[str]
    data: Annotated[
        str,
        Meta(
            description="Of `change`: its `seq` and `counts` as JSON.",
            extra_json_schema={"contentMediaType": "application/json"},
        ),
    ]


class Stream:
    """One open stream; ``until`` is when its token expires (UTC milliseconds), None if never."""

    __slots__ = ("closed", "recipient", "response", "sent", "transport", "until")

    def __init__(
        self, recipient: str, until: int | None, response: web.StreamResponse, transport: Any
    ) -> None:
        self.recipient = recipient
        self.until = until
        self.response = response
        self.transport = transport
        self.sent = -1
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def write(self, data: bytes) -> None:
        """Write without ever waiting for the reader; a stream that cannot be written to ends."""
        if self.closed.done():
            return
        if self.transport.is_closing() or self.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self.transport.abort()
            self.end()
            return
        try:
            await self.response.write(data)
        except ConnectionError:
            self.end()

    async def announce(self, state: InboxState) -> None:
        if state.seq == self.sent:
            return
        self.sent = state.seq
        await self.write(
            b"id: %d\nevent: change\ndata: %s\n\n" % (state.seq, orjson.dumps(change_of(state)))
        )

    def end(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def change_of(state: InboxState) -> dict[str, Any]:
    """The body of a change: a ``ChangeView``."""
    return {"seq": state.seq, "counts": {"unseen": state.unseen, "unread": state.unread}}


class Streams:
    """The open streams of a process, ``most`` at once."""

    def __init__(self, deps: ApiDeps, most: int = STREAMS_MAX) -> None:
        self._deps = deps
        self._most = most
        self._by_person: dict[str, set[Stream]] = {}
        self._open = 0
        self._looking: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._changed: set[str] = set()
        self._deferred = False

    def __len__(self) -> int:
        return self._open

    def announce_soon(self, recipient: str) -> None:
        """This process has just changed an inbox: tell its streams without waiting for a look."""
        if recipient in self._by_person:
            self._changed.add(recipient)
            self._woken.set()

    async def serve(
        self, request: web.Request, recipient: str, until: int | None
    ) -> web.StreamResponse:
        """Keep a stream open until its reader leaves, its token expires or the service stops."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        mine = self._by_person.get(recipient, ())
        if self._open >= self._most or len(mine) >= PERSON_STREAMS_MAX:
            await response.prepare(request)
            await response.write(COME_LATER)
            return response
        self._open += 1
        stream = None
        try:
            await response.prepare(request)
            stream = Stream(recipient, until, response, request.transport)
            self._by_person.setdefault(recipient, set()).add(stream)
            if self._looking is None:
                self._looking = asyncio.create_task(self._look(), name="inbox:streams")
            # it is among those that are looked at already: nothing between is missed
            with suppress(StoreBusy):  # a look announces it later
                await stream.announce(await self._deps.reader.inbox(recipient, self._deps.now()))
            await stream.closed
        finally:
            self._open -= 1
            self._forget(recipient, stream)
        return response

    def _forget(self, recipient: str, stream: Stream | None) -> None:
        mine = self._by_person.get(recipient, set())
        if stream is not None:
            mine.discard(stream)
        if not mine:
            self._by_person.pop(recipient, None)

    async def _look(self) -> None:
        """Look for changes and keep connections alive, for as long as there are streams."""
        loop = asyncio.get_running_loop()
        look_at, heartbeat_at = loop.time(), loop.time() + HEARTBEAT_SECONDS
        while self._by_person:
            full, changed, self._changed = loop.time() >= look_at, self._changed, set()
            self._woken.clear()
            try:
                if loop.time() >= heartbeat_at:  # first: it needs no store
                    heartbeat_at = loop.time() + HEARTBEAT_SECONDS
                    await self._keep_alive()
                await self._announce_changes(list(self._by_person if full else changed))
                self._deferred = False
            except StoreBusy as error:
                if not self._deferred:
                    log.info("inbox.streams_deferred", why=str(error))
                self._deferred = True
            except Exception:
                log.exception("inbox.streams_failed")
            if full:
                look_at = loop.time() + LOOK_SECONDS
            await set_within(self._woken, look_at - loop.time())
        self._looking = None

    async def _announce_changes(self, people: Sequence[str]) -> None:
        reader, now = self._deps.reader, self._deps.now()
        numbers = await reader.inbox_numbers(people)
        for recipient in people:
            seq = numbers.get(recipient, 0)  # 0: the person was erased, or never had an item
            behind = [one for one in self._by_person.get(recipient, ()) if one.sent != seq]
            if behind:
                state = await reader.inbox(recipient, now)
                for stream in behind:
                    await stream.announce(state)

    async def _keep_alive(self) -> None:
        """A comment for everybody, which also finds out who has left."""
        now = self._deps.now()
        everybody = [stream for mine in self._by_person.values() for stream in mine]
        for number, stream in enumerate(everybody):
            if stream.until is not None and stream.until <= now:
                await stream.write(EXPIRED)
                stream.end()
            else:
                await stream.write(HEARTBEAT)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """End every stream: the service stops."""
        for mine in list(self._by_person.values()):
            for stream in list(mine):
                stream.end()
        if self._looking is not None:
            self._looking.cancel()


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


async def close_streams(app: web.Application) -> None:
    await app[STREAMS].close()
