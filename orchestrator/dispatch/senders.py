"""
HTTP, done once for every adapter, and exact about what left.

    NotSent   no connection could be made, or the first byte would have left too late
    Unknown   bytes left and no readable answer came back in time
    Refused   the guard forbids the address, or the request cannot be written
    HttpReply everything else; what it means is the adapter's to say

``AiohttpSender`` is the hot path (HTTP/1.1), ``HttpxSender`` for adapters that need HTTP/2. A kept connection that its
server has closed is noticed right before the write and replaced. What cannot be noticed is a server that closes while our
bytes are under way: nobody knows whether it read them, so that is Unknown. Short keep-alive makes it rare.
"""

from __future__ import annotations

import re
import select
import ssl
import time
from collections.abc import AsyncIterable, Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
from yarl import URL

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.sendonce import (
    BODY_BYTES_MAX,
    GUARDED_BODY_BYTES_MAX,
    HEADERS,
    KEEPALIVE_SECONDS,
    Answer,
    OnceSender,
    Repeated,
    TooLate,
    Trace,
    Unconnected,
    Unreadable,
    Unwritable,
    connect_seconds,
    read_body,
    unpacked,
)

__all__ = ["BODY_BYTES_MAX", "GUARDED_BODY_BYTES_MAX", "AiohttpSender", "Answer", "HttpxSender"]

HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CONNECTIONS = 100


class Stale(aiohttp.ClientConnectionError):
    """A kept connection had been closed by its server before anything was written to it."""


current: ContextVar[Trace] = ContextVar("current")


class CarefulRequest(aiohttp.ClientRequest):
    """
    A request that looks at its trace before it is written, and is not written to a connection whose other end is known to
    have hung up.

    aiohttp buffers the headers until the body is written, so there are two places to look: before the headers are buffered
    (a withdrawal there costs least) and before the body's write takes both along.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._trace = current.get()

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        await self._trace.have_token()
        if hung_up(conn.transport):
            raise Stale
        if self._trace.bodyless:
            self._trace.last_look()
        else:
            self._trace.look()
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        """In a task of its own: whoever waits for the answer hears of a withdrawal by way of the connection."""
        try:
            if not self._trace.bodyless:
                self._trace.last_look()
        except (TooLate, Repeated) as withdrawn:
            conn.protocol.set_exception(aiohttp.ClientConnectionError(type(withdrawn).__name__))
            conn.close()
            return
        await super().write_bytes(writer, conn, content_length)


def hung_up(transport: Any) -> bool:
    """Whether the other end has closed, even where the event loop has not heard of it yet."""
    if transport is None or transport.is_closing():
        return True
    socket = transport.get_extra_info("socket")
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), HUNG_UP)
    return bool(poll.poll(0))


class AiohttpSender(OnceSender):
    """HTTP/1.1 by aiohttp. Guarded calls have a pool of their own, whose names the guard resolves."""

    def __init__(self, *, guard: EgressGuard, connections: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(guard=guard, connections=connections, monotonic=monotonic)
        self._plain: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make both pools, in the running loop."""
        self._plain = self._session(None)
        self._guarded = self._session(self._guard.resolver)

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._plain, self._guarded):
            if session is not None:
                await session.close()

    def _session(self, resolver: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=resolver,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=60 if resolver is None else 0,
            use_dns_cache=resolver is None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=CarefulRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers=HEADERS,
        )

    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        session = self._guarded if call.guarded else self._plain
        assert session is not None, "open() comes first"
        current.set(trace)
        while True:
            trace.look()
            try:
                async with session.request(
                    call.method,
                    URL(call.url, encoded=True),
                    data=call.body or None,
                    headers=call.headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds(trace)),
                ) as reply:
                    return await answer_of(reply, call.guarded, clock)
            except Stale:
                continue
            except (aiohttp.ClientError, OSError, ValueError, Repeated) as error:
                return broken(error, trace)


async def answer_of(reply: aiohttp.ClientResponse, guarded: bool, clock: Callable[[], float]) -> HttpReply:
    """A complete answer. Raises ``Unreadable``, and closes the connection of what was not read to its end."""
    try:
        body = await read_body(reply.content.iter_any(), guarded)
        body = unpacked(body, reply.headers.get("Content-Encoding", ""))
    except Unreadable:
        reply.close()
        raise
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return HttpReply(status=reply.status, headers=headers, body=body, now=clock())


def broken(error: Exception, trace: Trace) -> Unknown:
    """What an error of aiohttp means: before the write nothing left, after it nobody knows."""
    if trace.late:
        raise TooLate from error
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        raise Unconnected(error, lasting=isinstance(error, aiohttp.ClientSSLError)) from error
    if not trace.wrote:
        if isinstance(error, ValueError | aiohttp.NonHttpUrlClientError):
            raise Unwritable(type(error).__name__) from error
        raise Unconnected(error) from error
    if isinstance(error, aiohttp.ClientResponseError):
        raise Unreadable(type(error).__name__) from error
    return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)


class HttpxSender(OnceSender):
    """
    HTTP/2 (and 1.1, where the server has no more) by httpx, with the same contract.

    It speaks to httpx's transport and not to its client, which would keep cookies and unpack bodies without a limit.
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
    """What an error of httpx means; only those that come before the write by their very nature prove anything."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        raise Unconnected(error, lasting=caused_by(error, ssl.SSLError)) from error
    never_left = httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError | ValueError
    if not trace.wrote and isinstance(error, never_left):
        raise Unwritable(type(error).__name__) from error
    return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)


def caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of this kind is behind another."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None
