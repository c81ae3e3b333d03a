"""
HTTP for every adapter, exact about what has left this machine.

    NotSent   no connection could be made, or the first byte would have left too late
    Unknown   bytes left and no readable answer came back in time
    Refused   the guard forbids the address, or the request cannot be written
    HttpReply everything else; the adapter says what it means

``AiohttpSender`` is the hot path (HTTP/1.1), ``HttpxSender`` is for adapters that need HTTP/2. A
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
from collections.abc import AsyncIterable, Callable
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.send_once import (
    BODY_BYTES_MAX,
    GUARDED_BODY_BYTES_MAX,
    HEADERS,
    KEEPALIVE_SECONDS,
    Answer,
    OnceSender,
    Repeated,
    Trace,
    Unconnected,
    Unreadable,
    Unwritable,
    bounded,
    connect_seconds,
    read_body,
    unpacked,
)

__all__ = ["BODY_BYTES_MAX", "GUARDED_BODY_BYTES_MAX", "AiohttpSender", "Answer", "HttpxSender"]

HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CONNECTIONS = 100
DESTINATIONS_MAX = 4_096
BEGINNINGS_MAX = 16
WATCHES_MAX = 4_096
SWITCHING = 101


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
    )


async def body_of(payload: aiohttp.StreamReader, guarded: bool) -> bytes:
    """The body of an answer; most bodies came with the head. Raises ``Unreadable``."""
    if not payload.is_eof():
        return await read_body(payload.iter_any(), guarded)
    return bounded(payload.read_nowait(), guarded)


class HttpxSender(OnceSender):
    """
    HTTP/2 (1.1 if the server has no more) by httpx, with the same contract.

    It uses httpx's transport, because the client would keep cookies and unpack bodies of any size.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        connections: int = CONNECTIONS,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(guard=guard, connections=connections, monotonic=monotonic)
        self._transport = transport

    async def open(self) -> None:
        """Make the pool, in the running loop."""
        if self._transport is None:
            limits = httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_SECONDS)
            self._transport = httpx.AsyncHTTPTransport(http2=True, trust_env=False, limits=limits)

    async def close(self) -> None:
        """Close every connection."""
        self._timeouts.close()
        if self._transport is not None:
            await self._transport.aclose()

    def _forbidden(self, url: str) -> str | None:
        return super()._forbidden(url) or "an address can be pinned over HTTP/1.1 only"

    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        assert self._transport is not None, "open() comes first"
        if any(CONTROL.search(value) for value in call.headers.values()):
            raise Unwritable("a control character in a header")
        trace.look()

        async def watch(event: str, info: Any) -> None:
            if event.endswith(".send_request_headers.started"):
                await trace.have_token()
                trace.last_look()

        seconds = connect_seconds(trace)
        timeouts = {"connect": seconds, "pool": seconds, "read": None, "write": None}
        try:
            request = httpx.Request(
                call.method,
                call.url,
                headers={**HEADERS, **call.headers},
                content=call.body or None,
                extensions={"trace": watch, "timeout": timeouts},
            )
            reply = await self._transport.handle_async_request(request)
            try:
                assert isinstance(reply.stream, AsyncIterable)
                body = await read_body(reply.stream, call.guarded)
            finally:
                await reply.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, Repeated) as error:
            return broken_httpx(error, trace)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        body = unpacked(body, headers.get("content-encoding", ""))
        return HttpReply(status=reply.status_code, headers=headers, body=body, now=clock())


def broken_httpx(error: Exception, trace: Trace) -> Unknown:
    """The outcome of an httpx error: only errors that come before any write prove "not sent"."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        raise Unconnected(error, lasting=caused_by(error, ssl.SSLError)) from error
    never_left = (
        httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError | ValueError
    )
    if not trace.wrote and isinstance(error, never_left):
        raise Unwritable(type(error).__name__) from error
    return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)


def caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """True if an error of this kind is among the causes of another."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None
