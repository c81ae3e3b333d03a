"""
HTTP/1.1 with as little as two ends that know each other need: keep-alive, Content-Length, nothing
else.

Several times as fast as a real client or server, so that what is measured is never the driver.
"""

from __future__ import annotations

import asyncio
import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Any, cast

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"
AGAIN_SECONDS = 0.05
BUSY = (429, 503)


class Framer:
    """
    Cuts a stream into messages with a Content-Length: ``feed`` gives each complete ``(head,
    body)``.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The replies that ``data`` completes; an incomplete one waits for more bytes."""
        data = self._rest + data if self._rest else data
        found: list[tuple[bytes, bytes]] = []
        while True:
            end = data.find(END)
            if end < 0:
                break
            length = LENGTH.search(data, 0, end)
            stop = end + 4 + (int(length.group(1)) if length else 0)
            if len(data) < stop:
                break
            found.append((data[:end], data[end + 4 : stop]))
            data = data[stop:]
            if not data:
                break
        self._rest = data
        return found


def post(place: str, path: str, body: bytes, content_type: str, more: str = "") -> bytes:
    """A request, head and body. ``more`` are further header lines, each with its line end."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {place}\r\nContent-Type: {content_type}\r\n{more}"
        f"User-Agent: bench\r\nAccept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(status: str, body: bytes, content_type: str = "application/json") -> bytes:
    """A response, head and body."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Line(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, pump: Pump, port: int) -> None:
        self._pump = pump
        self.port = port
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self.request: bytes | None = None
        self.started_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self.request, self.started_ns = request, monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        for head, body in self._framer.feed(data):
            self._pump.answered(self, int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pump.lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Pump:
    """
    Requests over a fixed number of connections to each of ``ports``, in their order, each over
    the first free one; what is refused for lack of time (429, 503) is sent again a little later.
    ``statuses`` counts the answers, ``seconds`` holds how long each took.
    """

    def __init__(
        self, ports: Sequence[int], on_body: Callable[[bytes], None] | None = None
    ) -> None:
        self._ports = ports
        self._on_body = on_body
        self._queue: deque[bytes] = deque()
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []
        self._closing = False
        self.statuses: Counter[int] = Counter()
        self.broken = 0
        self.again = 0
        self.done = 0
        self.seconds = array("d")

    async def open(self, connections: int) -> None:
        for _ in range(connections):
            for port in self._ports:
                await self._connect(port)

    async def _connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self, port), "127.0.0.1", port)
        self._lines.add(line)
        if self._queue:
            line.send(self._queue.popleft())
        else:
            self._idle.append(line)

    def push(self, request: bytes) -> None:
        """Send it as soon as a connection is free."""
        if self._idle:
            self._idle.pop().send(request)
        else:
            self._queue.append(request)

    def answered(self, line: Line, status: int, body: bytes) -> None:
        request, line.request = line.request, None
        if status in BUSY and request is not None:
            self.again += 1
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.push, request)
        else:
            self.statuses[status] += 1
            self.done += 1
            self.seconds.append((monotonic_ns() - line.started_ns) / 1e9)
            if self._on_body is not None:
                self._on_body(body)
            self._notify()
        if self._queue:
            line.send(self._queue.popleft())
        else:
            self._idle.append(line)

    def lost(self, line: Line) -> None:
        """A connection that ends: its request was lost, and another connection takes its place."""
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if self._closing:
            return
        if line.request is not None:
            self.broken += 1
            self.done += 1
            self._notify()
        task = asyncio.ensure_future(self._connect(line.port))
        task.add_done_callback(lambda done: done.exception())

    def _notify(self) -> None:
        while self._watchers and self._watchers[0][0] <= self.done:
            self._watchers.pop(0)[1].set_result(None)

    async def until(self, done: int, seconds: float) -> bool:
        """Wait until that many requests have been answered; False where it takes longer."""
        if self.done >= done:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((done, future))
        self._watchers.sort(key=lambda one: one[0])
        try:
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            self._watchers = [one for one in self._watchers if one[1] is not future]
            return False
        return True

    async def close(self) -> None:
        self._closing = True
        for line in list(self._lines):
            line.close()
        await asyncio.sleep(0)

    def summary(self) -> dict[str, Any]:
        """The answers counted by status, and the seconds that each took."""
        return {
            "done": self.done,
            "again": self.again,
            "broken": self.broken,
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }
