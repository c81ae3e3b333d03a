"""
A small HTTP/2 server for stand-ins of providers that speak nothing else.

``answer`` gets each whole request. What it returns says what happens on the wire: an answer, a
GOAWAY that leaves this request out (RFC 9113 6.8), a refused stream, or a connection that is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

STREAMS_MAX = 1_000
BODY_BYTES_MAX = 64 * 1024
READ_BYTES = 65_536


@dataclass(slots=True)
class Http2Request:
    """A whole request; header names are lower case, pseudo-headers are among them."""

    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.headers.get(":path", "")


@dataclass(slots=True)
class Http2Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Instead(Enum):
    """What happens in place of an answer."""

    GO_AWAY = "go_away"
    REFUSE_STREAM = "refuse_stream"
    CUT = "cut"


AnswerTo = Callable[[Http2Request], Awaitable[Http2Answer | Instead]]


class Http2Server:
    """``connections`` counts those that were made; ``port`` is known after ``start``."""

    def __init__(self, answer: AnswerTo, streams_max: int = STREAMS_MAX) -> None:
        self.answer = answer
        self.streams_max = streams_max
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen; without ``tls``, clients need prior knowledge. Raises OSError for the port."""
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        self._server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await _Http2Peer(self, reader, writer, self.connections).run()
        except (ConnectionError, asyncio.CancelledError, h2.exceptions.ProtocolError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class _Http2Peer:
    def __init__(
        self,
        server: Http2Server,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._server, self._reader, self._writer = server, reader, writer
        self._number = number
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._last: int | None = None
        """The last stream that is answered, once the connection goes away."""

    async def run(self) -> None:
        settings: dict[h2.settings.SettingCodes | int, int] = {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._server.streams_max
        }
        self._h2.initiate_connection()
        self._h2.update_settings(settings)
        self._flush()
        try:
            while data := await self._reader.read(READ_BYTES):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
                await self._writer.drain()
        finally:
            for task in self._running.values():
                task.cancel()

    def _flush(self) -> None:
        words = self._h2.data_to_send()
        if words and not self._writer.is_closing():
            self._writer.write(words)

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.RequestReceived():
                self._requests[event.stream_id] = (names_of(event.headers), bytearray())
            case h2.events.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.stream_id in self._requests:
                    self._requests[event.stream_id][1].extend(event.data[:BODY_BYTES_MAX])
            case h2.events.StreamEnded():
                number = event.stream_id
                headers, body = self._requests.pop(number)
                if self._last is None or number <= self._last:
                    request = Http2Request(headers, bytes(body), self._number)
                    self._running[number] = asyncio.create_task(self._answer(number, request))
            case h2.events.StreamReset():
                self._requests.pop(event.stream_id, None)
                if event.stream_id in self._running:
                    self._running.pop(event.stream_id).cancel()

    async def _answer(self, number: int, request: Http2Request) -> None:
        answer = await self._server.answer(request)
        self._running.pop(number, None)
        match answer:
            case Http2Answer():
                headers = [(":status", str(answer.status)), *answer.headers.items()]
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self._h2.send_headers(number, headers, end_stream=not answer.body)
                    if answer.body:
                        self._h2.send_data(number, answer.body, end_stream=True)
            case Instead.REFUSE_STREAM:
                self._h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            case Instead.GO_AWAY:
                self._go_away(number - 2)
            case Instead.CUT:
                self._writer.transport.abort()
        self._flush()
        if self._last is not None and not self._running:
            self._writer.close()

    def _go_away(self, last: int) -> None:
        """Answer requests up to ``last``, and nothing after it."""
        self._last = max(0, last)
        self._h2.close_connection(last_stream_id=self._last)
        state = h2.connection.ConnectionState.SERVER_OPEN
        self._h2.state_machine.state = state  # h2 would send nothing more, not even answers
        for number in [number for number in self._running if number > self._last]:
            self._running.pop(number).cancel()


def names_of(headers: Any) -> dict[str, str]:
    """The headers by name; of what came twice the last."""
    return {str(name): str(value) for name, value in headers}
