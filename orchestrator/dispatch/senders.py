"""
HTTP, done once for every adapter, and exact about what left.

    NotSent   no connection could be made (tenacity tries again for at most two seconds), or the first byte would have
              left too late: looked at right before the write, on the monotonic clock
    Unknown   bytes left and no readable answer came back in time
    Refused   the guard forbids the address
    HttpReply everything else; what it means is the adapter's to say

Nothing is ever sent twice from here: redirects are not followed, and a request that was written is never repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_delay, wait_exponential_jitter
from yarl import URL

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import NotSent, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressForbidden, EgressGuard

BODY_BYTES_MAX = 256 * 1024
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 2.0
KEEPALIVE_SECONDS = 15.0

Answer = HttpReply | NotSent | Unknown | Refused


class TooLate(Exception):
    """The first byte would leave after its time; raised before the write."""


class Trace(SimpleNamespace):
    """What one request has done: ``start_by`` is its limit, ``wrote`` whether any byte may have left."""

    start_by: float = 0.0
    wrote: bool = False


def own_context(trace_request_ctx: Any) -> Any:
    """The trace of a request is the object it was given."""
    return trace_request_ctx


class AiohttpSender:
    """HTTP/1.1 by aiohttp, the hot path. Guarded calls have a pool of their own, whose names the guard resolves."""

    def __init__(self, *, guard: EgressGuard, connections: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._connections = connections
        self._monotonic = monotonic
        self._plain: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._plain = self._session(None)
        self._guarded = self._session(self._guard.resolver)

    async def close(self) -> None:
        for session in (self._plain, self._guarded):
            if session is not None:
                await session.close()

    def _session(self, resolver: Any) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig(trace_config_ctx_factory=own_context)  # type: ignore[arg-type]
        trace.on_connection_create_end.append(self._last_look)
        trace.on_connection_reuseconn.append(self._last_look)
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            resolver=resolver,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=60 if resolver is None else 0,
            use_dns_cache=resolver is None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            skip_auto_headers=("User-Agent",),
        )

    async def _last_look(self, session: aiohttp.ClientSession, trace: Any, params: Any) -> None:
        """A connection is in hand and the write comes next: the last moment at which it can still be withdrawn."""
        if self._monotonic() > trace.start_by:
            raise TooLate
        trace.wrote = True

    async def call(self, call: HttpCall, *, timeout_ms: int, start_by: float, clock: Callable[[], float]) -> Answer:
        """One request under its hard deadline. ``start_by`` is on the monotonic clock, ``clock`` UTC seconds."""
        if call.guarded:
            forbidden = self._guard.check_url(call.url)
            if forbidden is not None:
                return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", str(forbidden))
        session = self._guarded if call.guarded else self._plain
        assert session is not None, "open() comes first"
        trace = Trace(start_by=start_by, wrote=False)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._connecting(session, call, trace, clock)
        except TimeoutError:
            if trace.wrote:
                return Unknown(Reason.TIMED_OUT, detail=f"no answer within {timeout_ms} ms")
            return NotSent(Reason.CONNECT_FAILED, detail=f"no connection within {timeout_ms} ms")
        except TooLate:
            return NotSent(Reason.START_TOO_LATE)
        except EgressForbidden as forbidden:
            return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", str(forbidden))
        except (aiohttp.ClientError, OSError) as error:
            return failed(error, trace.wrote)

    async def _connecting(
        self, session: aiohttp.ClientSession, call: HttpCall, trace: Trace, clock: Callable[[], float]
    ) -> Answer:
        """Try again for as long as no connection can be made, and the send may still start."""
        try:
            return await self._once(session, call, trace, clock)
        except aiohttp.ClientConnectorError:
            if trace.wrote:
                raise
        left = max(0.0, min(RETRY_SECONDS, trace.start_by - self._monotonic()))
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(aiohttp.ClientConnectorError),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
            stop=stop_after_delay(left),
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._once(session, call, trace, clock)
        except RetryError as given_up:
            raise given_up.last_attempt.exception() or given_up from None
        raise AssertionError("tenacity ends by an answer or an error")

    async def _once(
        self, session: aiohttp.ClientSession, call: HttpCall, trace: Trace, clock: Callable[[], float]
    ) -> Answer:
        async with session.request(
            call.method,
            URL(call.url, encoded=True),
            data=call.body,
            headers=call.headers,
            allow_redirects=False,
            trace_request_ctx=trace,
        ) as reply:
            body = await reply.content.read(BODY_BYTES_MAX + 1)
            while len(body) <= BODY_BYTES_MAX and not reply.content.at_eof():
                body += await reply.content.read(BODY_BYTES_MAX + 1 - len(body))
            if len(body) > BODY_BYTES_MAX:
                return Unknown(Reason.RESPONSE_UNREADABLE, str(reply.status), "the answer is larger than 256 KiB")
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return HttpReply(status=reply.status, headers=headers, body=body, now=clock())


class HttpxSender:
    """HTTP/2 by httpx, for adapters that need it. The same contract as the hot path's."""

    def __init__(
        self, *, guard: EgressGuard, monotonic: Callable[[], float] = time.monotonic, transport: Any = None
    ) -> None:
        self._guard = guard
        self._monotonic = monotonic
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        self._client = httpx.AsyncClient(
            http2=True,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            transport=self._transport,
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def call(self, call: HttpCall, *, timeout_ms: int, start_by: float, clock: Callable[[], float]) -> Answer:
        """As ``AiohttpSender.call``. Guarded calls are refused: an address can be pinned on the hot path only."""
        assert self._client is not None, "open() comes first"
        if call.guarded:
            return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", "guarded calls need HTTP/1.1")
        if self._monotonic() > start_by:
            return NotSent(Reason.START_TOO_LATE)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                reply = await self._client.request(call.method, call.url, content=call.body, headers=dict(call.headers))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotSent(Reason.CONNECT_FAILED, detail=type(error).__name__)
        except TimeoutError:
            return Unknown(Reason.TIMED_OUT, detail=f"no answer within {timeout_ms} ms")
        except httpx.HTTPError as error:
            return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)
        if len(reply.content) > BODY_BYTES_MAX:
            return Unknown(Reason.RESPONSE_UNREADABLE, str(reply.status_code), "the answer is larger than 256 KiB")
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return HttpReply(status=reply.status_code, headers=headers, body=reply.content, now=clock())


def failed(error: Exception, wrote: bool) -> NotSent | Unknown:
    """What an error of the connection means: before the write nothing left, after it nobody knows."""
    if not wrote or isinstance(error, aiohttp.ClientConnectorError):
        return NotSent(Reason.CONNECT_FAILED, detail=type(error).__name__)
    return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)
