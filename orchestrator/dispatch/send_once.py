"""
The base of the senders: one request, written at most once, and an outcome that says what left.

    guard → slot → connection → token → last look → write → answer
    └──────── NotSent ────────────────────────────┘ └─ Unknown or HttpReply

Until the last look nothing has left; tenacity repeats failed connects for at most two seconds and
never past the time to start. After it nothing is repeated.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import NotSent, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressForbidden, EgressGuard
from orchestrator.dispatch.rates import FREE, Token
from orchestrator.dispatch.timeouts import Timeouts
from orchestrator.primitives.durations import duration

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
GUARDED_BODY_BYTES_MAX = 16 * 1024
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 0.5
KEEPALIVE_SECONDS = 15.0
HEADERS = {"User-Agent": "kaskad", "Accept-Encoding": "identity"}

Answer = HttpReply | NotSent | Unknown | Refused


class TooLate(Exception):
    """The first byte would leave too late; raised before the write."""


class Repeated(Exception):
    """The client is about to write a request a second time; raised before that write."""


class Unconnected(Exception):
    """No connection was made. ``lasting``: another try at once cannot help (bad certificate)."""

    def __init__(self, error: BaseException, *, lasting: bool = False) -> None:
        super().__init__(type(error).__name__)
        self.lasting = lasting


class Unwritable(Exception):
    """The request cannot be written: a control character in a header, or an invalid URL."""


class Unreadable(Exception):
    """The answer is too long, has an unknown Content-Encoding, or is not HTTP."""


class Trace:
    """
    The progress of one request. ``start_by`` (monotonic seconds) bounds its first byte, for which
    ``token`` was taken. ``wrote``: a byte may have left. ``over``: its caller has gone.
    """

    __slots__ = ("monotonic", "over", "start_by", "token", "wrote")

    def __init__(
        self, start_by: float, monotonic: Callable[[], float], token: Token = FREE
    ) -> None:
        self.start_by = start_by
        self.token = token
        self.monotonic = monotonic
        self.wrote = self.over = False

    def left_seconds(self) -> float:
        """The time that is left to start."""
        return self.start_by - self.monotonic()

    def look(self) -> None:
        """Raises ``TooLate`` or ``Repeated`` if the request may not be written any more."""
        if self.wrote:
            raise Repeated
        if self.over or self.monotonic() > self.start_by:
            raise TooLate

    async def have_token(self) -> None:
        """Replace the token if connecting took longer than it is good."""
        if not self.token.lasts():
            await self.token.renew(self.start_by)

    def last_look(self) -> None:
        """``look`` once more, and at the token. The write follows: a byte may have left now."""
        self.look()
        if not self.token.is_good():
            raise TooLate
        self.wrote = True


class OnceSender(ABC):
    """
    One HTTP request per call, under a hard timeout; a subclass implements ``_once``.

    ``connections`` bounds the running requests. Callers take a slot of the provider first, so
    nothing waits here for long.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        connections: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._slots = asyncio.Semaphore(connections)
        self._timeouts = Timeouts()
        self._monotonic = monotonic

    async def call(
        self,
        call: HttpCall,
        *,
        timeout_ms: int,
        start_by: float,
        clock: Callable[[], float],
        token: Token = FREE,
    ) -> Answer:
        """
        Send once. ``timeout_ms`` bounds the whole call, ``start_by`` (monotonic seconds) its first
        byte; ``clock`` gives UTC seconds for the reply. Redirects are not followed, and cookies and
        proxies of the environment are not used.
        """
        if call.guarded and (forbidden := self._forbidden(call.url)) is not None:
            return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", forbidden)
        trace = Trace(start_by, self._monotonic, token)
        timeout = self._timeouts.begin(timeout_ms / 1000)
        try:
            if self._slots.locked():
                await self._wait_for_slot(trace)
            else:
                await self._slots.acquire()
            try:
                try:
                    return await self._once(call, trace, clock)
                except Unconnected as error:
                    problem = error
                return await self._again(problem, call, trace, clock)
            finally:
                self._slots.release()
        except asyncio.CancelledError:
            if timeout.cancelled_it():
                return timed_out(timeout_ms, trace.wrote)
            raise
        except TimeoutError:
            return timed_out(timeout_ms, trace.wrote)
        except TooLate:
            return NotSent(Reason.START_TOO_LATE)
        except Unconnected as error:
            return NotSent(Reason.CONNECT_FAILED, detail=str(error))
        except Unwritable as error:
            return Refused(Reason.REFUSED_CONTENT, "invalid_request", str(error))
        except Unreadable as error:
            return Unknown(Reason.RESPONSE_UNREADABLE, detail=str(error))
        except EgressForbidden as forbidden:
            return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", str(forbidden))
        except Exception as error:  # whatever it was, only what was written may have been sent
            log.exception("dispatch.sender_failed")
            if trace.wrote:
                return Unknown(Reason.CONNECTION_LOST, detail=type(error).__name__)
            return NotSent(Reason.CONNECT_FAILED, detail=type(error).__name__)
        finally:
            trace.over = True
            timeout.end()

    def _forbidden(self, url: str) -> str | None:
        """The reason why a guarded URL may not be called; None if it may."""
        return self._guard.check_url(url)

    async def _wait_for_slot(self, trace: Trace) -> None:
        """Wait for a slot while the send may still start. Raises ``TooLate``."""
        try:
            async with asyncio.timeout(max(0.0, trace.left_seconds())):
                await self._slots.acquire()
        except TimeoutError:
            raise TooLate from None

    async def _again(
        self, problem: Unconnected, call: HttpCall, trace: Trace, clock: Callable[[], float]
    ) -> Answer:
        """Repeat the connect while it fails and the send may still start."""
        give_up_at = min(self._monotonic() + RETRY_SECONDS, trace.start_by)
        if problem.lasting or self._monotonic() + FIRST_PAUSE_SECONDS >= give_up_at:
            raise problem

        def over(state: RetryCallState) -> bool:
            return self._monotonic() + state.upcoming_sleep >= give_up_at

        retrying = AsyncRetrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, Unconnected) and not error.lasting
            ),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
            stop=over,
            reraise=True,
        )
        await asyncio.sleep(FIRST_PAUSE_SECONDS)
        async for attempt in retrying:
            with attempt:
                return await self._once(call, trace, clock)
        raise AssertionError("tenacity ends by an answer or an error")

    @abstractmethod
    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        """
        One try. Awaits ``trace.have_token()`` once connected, and calls ``trace.last_look()`` right
        before the first byte. Raises ``TooLate``, ``Unconnected``, ``Unwritable``, ``Unreadable``
        or ``EgressForbidden``.
        """


def timed_out(timeout_ms: int, wrote: bool) -> NotSent | Unknown:
    """The outcome of a call whose timeout has passed: unknown once a byte may have left."""
    if wrote:
        return Unknown(Reason.TIMED_OUT, detail=f"no answer within {duration(timeout_ms)}")
    return NotSent(Reason.CONNECT_FAILED, detail=f"no connection within {duration(timeout_ms)}")


def connect_seconds(trace: Trace) -> float:
    """The time limit of one connect: never past the time to start."""
    return min(CONNECT_SECONDS, max(0.001, trace.left_seconds()))


async def read_body(chunks: AsyncIterable[bytes], guarded: bool) -> bytes:
    """Read the body. Raises ``Unreadable`` if it is too long; guarded URLs have a lower limit."""
    body = b""
    async for chunk in chunks:
        body = bounded(body + chunk, guarded)
    return body


def bounded(body: bytes, guarded: bool) -> bytes:
    """The body so far. Raises ``Unreadable`` if it is too long already."""
    limit = GUARDED_BODY_BYTES_MAX if guarded else BODY_BYTES_MAX
    if len(body) > limit:
        raise Unreadable(f"the answer is larger than {limit // 1024} KiB")
    return body


def unpacked(body: bytes, encoding: str) -> bytes:
    """
    The body without its ``Content-Encoding``: requests ask for none, but some servers always gzip.

    Raises ``Unreadable`` if the encoding is unknown, the body is broken or it unpacks to too much.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            unpacking = zlib.decompressobj(wbits=47)
            try:
                plain = unpacking.decompress(body, BODY_BYTES_MAX + 1)
            except zlib.error:
                raise Unreadable("a broken gzip body") from None
            if len(plain) > BODY_BYTES_MAX or not unpacking.eof:
                raise Unreadable("a gzip body that is cut short or unpacks to too much")
            return plain
    raise Unreadable("a Content-Encoding that was not asked for")
