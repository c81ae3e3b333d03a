"""
What the senders have in common: one request, written at most once, and an outcome that says what
left.

    guard → slot → connection → token → last look → write → answer
    └──────── NotSent ────────────────────────────┘ └─ Unknown or HttpReply

Up to the last look everything can be undone; connects that failed are tried again by tenacity, for
at most two seconds and never past the time to start. From then on nothing is repeated, whatever
happens.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import NotSent, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.deadlines import Deadlines
from orchestrator.dispatch.egress import EgressForbidden, EgressGuard
from orchestrator.dispatch.rates import FREE, Token

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
    """The first byte would leave after its time; raised before the write."""


class Repeated(Exception):
    """
    A client was about to write a request again that may have been read already; raised before the
    second write.
    """


class Unconnected(Exception):
    """
    There is no connection, and nothing left. ``lasting``: trying again at once cannot help (a bad
    certificate).
    """

    def __init__(self, error: BaseException, *, lasting: bool = False) -> None:
        super().__init__(type(error).__name__)
        self.lasting = lasting


class Unwritable(Exception):
    """
    The request itself cannot be written (a control character in a header, a URL that is none);
    nothing left.
    """


class Unreadable(Exception):
    """There was an answer, and it is too long, packed in an unknown way, or no HTTP."""


class Trace:
    """
    What one request has done. ``start_by`` is its limit on the monotonic clock, ``token`` its place
    in the provider's rate, ``wrote`` whether any byte may have left, ``over`` whether its caller
    has gone.
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
        """Until the time to start has passed."""
        return self.start_by - self.monotonic()

    def look(self) -> None:
        """May it still leave? Raises ``TooLate`` or ``Repeated``."""
        if self.wrote:
            raise Repeated
        if self.over or self.monotonic() > self.start_by:
            raise TooLate

    async def have_token(self) -> None:
        """
        There is a connection: where its making took longer than a token is good, take another one.
        """
        if not self.token.lasts():
            await self.token.renew(self.start_by)

    def last_look(self) -> None:
        """
        As ``look``, and is its token still good? The write follows at once, so from here on a byte
        may have left.
        """
        self.look()
        if not self.token.is_good():
            raise TooLate
        self.wrote = True


class OnceSender(ABC):
    """
    One HTTP request per call, under a hard deadline; ``_once`` is the client's part.

    ``connections`` bounds the requests under way; whoever calls takes a slot first, so nothing
    waits here for long.
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
        self._deadlines = Deadlines()
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
        Send once. ``timeout_ms`` bounds all of it, ``start_by`` (monotonic seconds) the first byte,
        for which ``token`` is taken; ``clock`` gives UTC seconds for the reply. Redirects are
        answers; cookies and proxies of the environment are not used.
        """
        if call.guarded and (forbidden := self._forbidden(call.url)) is not None:
            return Refused(Reason.REFUSED_RECIPIENT, "endpoint_forbidden", forbidden)
        trace = Trace(start_by, self._monotonic, token)
        deadline = self._deadlines.begin(timeout_ms / 1000)
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
            if deadline.passed():
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
        finally:
            trace.over = True
            deadline.end()

    def _forbidden(self, url: str) -> str | None:
        """Why a guarded URL may not be called."""
        return self._guard.check_url(url)

    async def _wait_for_slot(self, trace: Trace) -> None:
        """A slot as soon as there is one, while the send may still start. Raises ``TooLate``."""
        try:
            async with asyncio.timeout(max(0.0, trace.left_seconds())):
                await self._slots.acquire()
        except TimeoutError:
            raise TooLate from None

    async def _again(
        self, problem: Unconnected, call: HttpCall, trace: Trace, clock: Callable[[], float]
    ) -> Answer:
        """Try again for as long as no connection can be made, and the send may still start."""
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
        One try. Has ``trace.have_token()`` once there is a connection, and calls
        ``trace.last_look()`` right before the first byte of the request. Raises ``TooLate``,
        ``Unconnected``, ``Unwritable``, ``Unreadable`` or ``EgressForbidden``.
        """


def timed_out(timeout_ms: int, wrote: bool) -> NotSent | Unknown:
    """The hard deadline has passed: what that means depends on whether a byte may have left."""
    if wrote:
        return Unknown(Reason.TIMED_OUT, detail=f"no answer within {timeout_ms} ms")
    return NotSent(Reason.CONNECT_FAILED, detail=f"no connection within {timeout_ms} ms")


def connect_seconds(trace: Trace) -> float:
    """How long one connect may take: no longer than the send may still start."""
    return min(CONNECT_SECONDS, max(0.001, trace.left_seconds()))


async def read_body(chunks: AsyncIterable[bytes], guarded: bool) -> bytes:
    """
    The whole body, as it came. Raises ``Unreadable`` where it is too long; what a user's URL
    answers is kept short.
    """
    body = b""
    async for chunk in chunks:
        body = bounded(body + chunk, guarded)
    return body


def bounded(body: bytes, guarded: bool) -> bytes:
    """A body, or the beginning of one. Raises ``Unreadable`` where it is too long already."""
    limit = GUARDED_BODY_BYTES_MAX if guarded else BODY_BYTES_MAX
    if len(body) > limit:
        raise Unreadable(f"the answer is larger than {limit // 1024} KiB")
    return body


def unpacked(body: bytes, encoding: str) -> bytes:
    """
    A body without its ``Content-Encoding``. None is asked for, but some answer gzip to everybody.

    Raises ``Unreadable`` where the encoding is another, the body is broken, or it unpacks to more
    than is kept.
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
    raise Unreadable("a Content-Encoding that nobody asked for")
