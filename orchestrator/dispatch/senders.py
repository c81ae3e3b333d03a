"""
HTTP for every adapter, exact about what has left this machine.

    NotSent   no connection could be made, or the first byte would have left too late
    Unknown   bytes left and no readable answer came back in time
    Refused   the guard forbids the address, or the request cannot be written
    HttpReply everything else; the adapter says what it means

``AiohttpSender`` is the hot path (HTTP/1.1), ``Http2Sender`` is for adapters that need HTTP/2. A
pooled connection that its server has closed is noticed right before the write and replaced. A
server that closes while our bytes are on their way cannot be noticed: it may have read them, so
that is Unknown. A short keep-alive makes it rare.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.http2 import (
    Http2Connection,
    OtherProtocol,
    Unprocessed,
    origin_of,
    tls_context,
)
from orchestrator.dispatch.send_once import (
    BODY_BYTES_MAX,
    CONNECT_SECONDS,
    GUARDED_BODY_BYTES_MAX,
    HEADERS,
    KEEPALIVE_SECONDS,
    Answer,
    OnceSender,
    Trace,
    Unconnected,
    Unreadable,
    Unwritable,
    bounded,
    connect_seconds,
    read_body,
    unpacked,
)

__all__ = ["BODY_BYTES_MAX", "GUARDED_BODY_BYTES_MAX", "AiohttpSender", "Answer", "Http2Sender"]

HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CONNECTIONS = 100
DESTINATIONS_MAX = 4_096
BEGINNINGS_MAX = 16
WATCHES_MAX = 4_096
SWITCHING = 101
OLDER_SECONDS = 600.0
"""For so long a server that chose HTTP/1.1 is not asked for HTTP/2 again."""

Server = tuple[str, str, int, bool, str]
"""Scheme, host name, port, whether it speaks HTTP/2 only, and the authorities to trust (PEM)."""


class Stale(Exception):
    """A pooled connection was closed by its server, or has unexpected bytes; nothing written."""


class Destination:
    """
    A URL, parsed once: ``request`` is the key of aiohttp's connection pool, ``headers`` are those
    that every request to it begins with.
    """

    __slots__ = ("_beginnings", "_target", "headers", "request")

    def __init__(self, url: str) -> None:
        """Raises ``ValueError`` if this is no http(s) URL with a host."""
        where = URL(url, encoded=True)
        if where.scheme not in ("http", "https"):
            raise ValueError("neither http nor https")
        self.request = aiohttp.ClientRequest(
            "GET", where, headers=HEADERS, loop=asyncio.get_running_loop()
        )
        self.headers = dict(self.request.headers)
        self._target = where.raw_path_qs
        self._beginnings: dict[tuple[str, ...], str] = {}

    def written(self, call: HttpCall) -> bytes:
        """The bytes of a request. Raises ``ValueError`` for a header that is not one line."""
        if CONTROL.search("".join(call.headers.values())):
            raise ValueError("a control character in a header")
        kind = (call.method, *call.headers)
        beginning = self._beginnings.get(kind)
        if beginning is None:
            beginning = self._beginning(call.method, list(call.headers))
            if len(self._beginnings) < BEGINNINGS_MAX:
                self._beginnings[kind] = beginning
        own = "".join([f"{name}: {value}\r\n" for name, value in call.headers.items()])
        return f"{beginning}{own}Content-Length: {len(call.body)}\r\n\r\n".encode() + call.body

    def _beginning(self, method: str, names: list[str]) -> str:
        """The request line and our headers, without those that the call sets itself."""
        own = {name.lower() for name in names}
        lines = [f"{method} {self._target} HTTP/1.1"]
        lines += [
            f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in own
        ]
        if CONTROL.search("".join(lines + names)):
            raise ValueError("a control character in a header")
        return "".join([f"{line}\r\n" for line in lines])


def hung_up(transport: asyncio.BaseTransport) -> bool:
    """True if the other end has closed, even if the event loop has not noticed yet."""
    if transport.is_closing():
        return True
    socket = transport.get_extra_info("socket")
    return socket is not None and bool(watch_of(socket.fileno()).poll(0))


@lru_cache(maxsize=WATCHES_MAX)
def watch_of(descriptor: int) -> select.poll:
    """The poll object of a file descriptor, whichever connection has that number now."""
    watch = select.poll()
    watch.register(descriptor, HUNG_UP)
    return watch


class AiohttpSender(OnceSender):
    """
    HTTP/1.1 over aiohttp's connection pool, without its session, which would follow redirects and
    repeat requests. A request is one write. Guarded calls have their own pool, for which the guard
    resolves names.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        connections: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(guard=guard, connections=connections, monotonic=monotonic)
        self._plain: aiohttp.TCPConnector | None = None
        self._guarded: aiohttp.TCPConnector | None = None
        self._destination = lru_cache(maxsize=DESTINATIONS_MAX)(Destination)

    async def open(self) -> None:
        """Make both pools, in the running loop."""
        self._plain = pool(None)
        self._guarded = pool(self._guard.resolver)

    async def close(self) -> None:
        """Close every connection."""
        self._timeouts.close()
        for connector in (self._plain, self._guarded):
            if connector is not None:
                await connector.close()

    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        connector = self._guarded if call.guarded else self._plain
        assert connector is not None, "open() comes first"
        try:
            destination = self._destination(call.url)
            request = destination.written(call)
        except ValueError as error:
            raise Unwritable(type(error).__name__) from error
        while True:
            trace.look()
            try:
                connection = await connector.connect(
                    destination.request, [], connect_timeout(connect_seconds(trace))
                )
            except (aiohttp.ClientError, OSError) as error:
                raise Unconnected(
                    error, lasting=isinstance(error, aiohttp.ClientSSLError)
                ) from error
            except ValueError as error:  # a host that no resolver takes
                raise Unwritable(type(error).__name__) from error
            try:
                return await exchange(connection, call, request, trace, clock)
            except Stale:
                continue
            finally:
                # a connection whose answer was read to its end is in the pool already
                connection.close()


def connect_timeout(seconds: float) -> aiohttp.ClientTimeout:
    """The timeout of a new connection, to the hundredth of a second so that it can be cached."""
    return timeout_of(max(1, int(seconds * 100)))


@lru_cache(maxsize=1_024)
def timeout_of(hundredths: int) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=hundredths / 100)


def pool(resolver: Any) -> aiohttp.TCPConnector:
    """A connection pool. Without a ``resolver``, names are cached for a minute."""
    cached = resolver is None
    return aiohttp.TCPConnector(
        limit=0,
        resolver=resolver,
        keepalive_timeout=KEEPALIVE_SECONDS,
        ttl_dns_cache=60 if cached else 0,
        use_dns_cache=cached,
    )


async def exchange(
    connection: Connection, call: HttpCall, request: bytes, trace: Trace, clock: Callable[[], float]
) -> Answer:
    """Write, and read the answer. Raises ``Stale`` or ``TooLate`` if nothing was written."""
    if not trace.token.lasts():
        await trace.have_token()
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close or hung_up(transport):
        raise Stale
    protocol.set_response_params(
        skip_payload=call.method == "HEAD", read_until_eof=True, auto_decompress=False
    )
    trace.last_look()
    transport.write(request)
    try:
        message, payload = await protocol.read()
        while message.code < 200 and message.code != SWITCHING:
            message, payload = await protocol.read()
        body = await body_of(payload, call.guarded)
    except HttpProcessingError as error:
        raise Unreadable(type(error).__name__) from error
    except (aiohttp.ClientError, aiohttp.EofStream, OSError) as error:
        return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)
    connection.release()
    headers = {name.lower(): value for name, value in message.headers.items()}
    return HttpReply(
        status=message.code,
        headers=headers,
        body=unpacked(body, headers.get("content-encoding", "")),
        now=clock(),
        request=call,
    )


async def body_of(payload: aiohttp.StreamReader, guarded: bool) -> bytes:
    """The body of an answer; most bodies came with the head. Raises ``Unreadable``."""
    if not payload.is_eof():
        return await read_body(payload.iter_any(), guarded)
    return bounded(payload.read_nowait(), guarded)


class Http2Sender(AiohttpSender):
    """
    HTTP/2, with the same contract; HTTP/1.1 where the server has no more, without TLS, and for
    guarded calls, whose address is pinned.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        connections: int = CONNECTIONS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(guard=guard, connections=connections, monotonic=monotonic)
        self._current: dict[Server, Http2Connection] = {}
        self._connecting: dict[Server, asyncio.Task[Http2Connection]] = {}
        self._older: dict[Server, float] = {}

    async def close(self) -> None:
        for task in self._connecting.values():
            task.cancel()
        for connection in self._current.values():
            connection.close()
        await super().close()

    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        try:
            server = (*origin_of(call.url), call.http2_only, call.ca)
        except ValueError as error:
            raise Unwritable(type(error).__name__) from error
        clear = server[0] == "http" and not call.http2_only
        if call.guarded or clear or self._is_older(server):
            return await super()._once(call, trace, clock)
        if CONTROL.search("".join((call.url, *call.headers, *call.headers.values()))):
            raise Unwritable("a control character in the request")
        while True:
            trace.look()
            try:
                connection = await self._connected(server, connect_seconds(trace))
            except OtherProtocol:
                self._older[server] = self._monotonic() + OLDER_SECONDS
                return await super()._once(call, trace, clock)
            await connection.room(call)
            await trace.have_token()
            if not connection.usable or not connection.has_room(call):
                continue
            try:
                return await connection.exchange(call, trace, clock)
            except Unprocessed:
                trace.wrote = False

    def _is_older(self, server: Server) -> bool:
        """Whether the server chose HTTP/1.1 not long ago."""
        return server in self._older and self._monotonic() < self._older[server]

    async def _connected(self, server: Server, seconds: float) -> Http2Connection:
        """The server's connection, a new one if need be. Raises ``Unconnected``."""
        found = self._current.get(server)
        if found is not None and found.usable:
            stale = found.transport is None or hung_up(found.transport)
            if not stale and await found.alive():
                return found
            found.retire()
        task = self._connecting.get(server)
        if task is None:
            task = asyncio.create_task(connect_http2(server))
            self._connecting[server] = task
            task.add_done_callback(lambda done: self._connected_to(server, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), seconds)
        except (OSError, TimeoutError, Unreadable) as error:
            raise Unconnected(error, lasting=isinstance(error, ssl.SSLError)) from error

    def _connected_to(self, server: Server, done: asyncio.Task[Http2Connection]) -> None:
        self._connecting.pop(server, None)
        if not done.cancelled() and done.exception() is None:
            self._current[server] = done.result()


async def connect_http2(server: Server) -> Http2Connection:
    """
    A connection whose server has sent its settings. Raises ``OSError``, ``TimeoutError``,
    ``Unreadable`` or ``OtherProtocol``.
    """
    scheme, host, port, only, ca = server
    context = tls_context(ca, only) if scheme == "https" else None
    async with asyncio.timeout(CONNECT_SECONDS):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Http2Connection(only), host, port, ssl=context
        )
        try:
            await connection.ready
        except BaseException:
            connection.close()
            raise
    return connection
