"""
One send, from its row of the backlog to the fact of what became of it.

    render ─► Prepared ─► intent committed ─► call ─► Answered ─► committed, slot given back

Each part is begun by the one before: what the engine has committed it says to the send at once, in
its own turn. Only the call itself is a task, so nothing waits for anything but a provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

import structlog

from orchestrator.channels import HttpAdapter, HttpCall, HttpReply, Outgoing, Unsendable
from orchestrator.core.effects import Call
from orchestrator.core.facts import Answered, Fact, Prepared, Unpreparable
from orchestrator.core.outcomes import NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import OTP
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.outgoing import Outside, Ready, outgoing, render
from orchestrator.dispatch.provider import ProviderAtWork, ProviderQueue
from orchestrator.dispatch.rates import Rate, Token
from orchestrator.engine.commands import ApplyFact, FactApplied
from orchestrator.engine.engine import Engine, Hear, Stopped
from orchestrator.render import Rendered, Unrenderable
from orchestrator.stores.port import ReadyRow, StoreBusy

log = structlog.get_logger()

START_WITHIN_SECONDS = 1.0


class Sender(Protocol):
    """HTTP done once, for every adapter."""

    async def call(
        self,
        call: HttpCall,
        *,
        timeout_ms: int,
        start_by: float,
        clock: Callable[[], float],
        token: Token,
    ) -> HttpReply | NotSent | Unknown | Refused: ...


class Sends:
    """What all sends of a process have in common, and which of them are under way."""

    def __init__(
        self,
        engine: Engine,
        sender_for: Callable[[ProviderAtWork], Sender],
        outside: Outside,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes],
        answered: Callable[[ProviderAtWork, Outcome, float], None],
    ) -> None:
        self.engine = engine
        self.sender_for = sender_for
        self.outside = outside
        self.now = now
        self.monotonic = monotonic
        self.entropy = entropy
        self.answered = answered
        self.under_way: set[Send] = set()
        self.over = False
        self._ended = asyncio.Event()

    def seconds(self) -> float:
        """UTC seconds."""
        return self.now() / 1000

    def end(self, send: Send) -> None:
        """
        This one is done with, whatever became of it: its slot is free, and its row may be claimed
        again.
        """
        if send not in self.under_way:
            return
        self.under_way.discard(send)
        send.provider.taken.discard((send.row.message, send.row.step))
        send.provider.release_cap(1)
        send.line.wake.set()
        if not self.under_way:
            self._ended.set()

    async def stop(self, within_seconds: float) -> None:
        """
        Let what is under way finish for so long, then end every call that is: nobody knows what
        became of it, and that is told. What has not been called by then is not called any more.
        """
        if self.under_way:
            self._ended.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), within_seconds)
        self.over = True
        late = [task for send in self.under_way for task in send.tasks]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class Send:
    """
    One row on its way out, with a token and a slot of its own. ``ready`` is None where nothing is
    left to send.
    """

    __slots__ = (
        "_attempt",
        "_calls",
        "_rendered",
        "_sends",
        "line",
        "provider",
        "ready",
        "row",
        "tasks",
        "tokens",
    )

    def __init__(
        self,
        sends: Sends,
        provider: ProviderAtWork,
        line: ProviderQueue,
        row: ReadyRow,
        ready: Ready | None,
        token: Token,
    ) -> None:
        self._sends = sends
        self.provider = provider
        self.line = line
        self.row = row
        self.ready = ready
        self.tokens = [token]
        self.tasks: list[asyncio.Task[None]] = []
        self._attempt = 0
        self._calls = 0
        self._rendered: Rendered | None = None

    def begin(self, rate: Rate) -> None:
        """
        Render, and ask for the intent. Raises nothing; where several devices are sent to, each has
        a token first.
        """
        self._sends.under_way.add(self)
        ready = self.ready
        if ready is None:
            self._sends.end(self)
            return
        try:
            self._attempt = len(ready.message.attempts)
            self._rendered = render(
                ready, self._sends.outside, self.provider, self._attempt, self._sends.now()
            )
            if len(ready.targets) > 1:
                self._do(self._have_tokens(ready, self._rendered, rate))
            else:
                self._intend(ready, self._rendered)
        except Unrenderable as problem:
            self._give_up(ready, problem)
        except Exception as error:
            self._fail(error)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def _have_tokens(self, ready: Ready, rendered: Rendered, rate: Rate) -> None:
        try:
            self.tokens += await rate.take_all(
                len(ready.targets) - 1, ready.message.message_class == OTP
            )
            self._intend(ready, rendered)
        except Exception as error:
            self._fail(error)

    def _intend(self, ready: Ready, rendered: Rendered) -> None:
        parts = rendered.sms.parts if rendered.sms is not None else None
        cost = self.provider.cost.of(parts) if self.provider.cost is not None else None
        fact = Prepared(
            ready.step, self.provider.name, ready.targets, rendered.content_hash, parts, cost
        )
        self._tell(ready, fact, self._decided)

    def _give_up(self, ready: Ready, problem: Unrenderable) -> None:
        try:
            detail = f"{problem.detail} {problem.where}".strip()
            self._calls = 1
            self._tell(ready, Unpreparable(ready.step, problem.reason, detail), self._told)
        except Exception as error:
            self._fail(error)

    def _tell(self, ready: Ready, fact: Fact, hear: Hear) -> None:
        message = ready.message
        self._sends.engine.hand(
            ApplyFact(message.id, fact, urgent=message.message_class == OTP), hear
        )

    def _decided(self, told: Any) -> None:
        """The intents are committed, if it came to any: each call has a second to start."""
        if isinstance(told, BaseException):
            self._fail(told)
            return
        try:
            self._depart(told)
        except Exception as error:
            self._fail(error)

    def _depart(self, told: FactApplied) -> None:
        ready, rendered, sends = self.ready, self._rendered, self._sends
        if not told.calls or ready is None or rendered is None or sends.over:
            sends.end(self)
            return
        if (
            told.calls[0].attempt != self._attempt
        ):  # another step of the message left meanwhile: links name the attempt
            rendered = render(
                ready, sends.outside, self.provider, told.calls[0].attempt, sends.now()
            )
        self._calls = len(told.calls)
        for call, token in zip(told.calls, self.tokens, strict=False):
            self._do(self._call(ready, told, call, rendered, token))

    async def _call(
        self, ready: Ready, told: FactApplied, call: Call, rendered: Rendered, token: Token
    ) -> None:
        sends, provider = self._sends, self.provider
        try:
            attempt = told.decision.message.attempts[call.attempt]
            message = outgoing(
                ready, sends.outside, attempt, call.target, rendered, sends.now(), sends.entropy(64)
            )
            started = sends.monotonic()
            outcome = await self._outcome(message, told.decided_at + START_WITHIN_SECONDS, token)
            provider.learn(outcome, sends.now())
            if isinstance(outcome, NotSent) and outcome.reason is Reason.THROTTLED:
                await provider.throttled(outcome.retry_after_ms)
            sends.answered(provider, outcome, sends.monotonic() - started)
            self._tell(ready, Answered(call.attempt, outcome), self._told)
        except Exception as error:
            self._fail(error)

    async def _outcome(self, message: Outgoing, start_by: float, token: Token) -> Outcome:
        try:
            return await self._deliver(message, start_by, token)
        except asyncio.CancelledError:
            return Unknown(Reason.PROCESS_DIED, detail="stopped while sending")
        except Unsendable as problem:
            return problem.outcome
        except Exception as error:
            log.exception(
                "dispatch.adapter_failed",
                provider=self.provider.name,
                message_id=message.message_id,
            )
            return Unknown(Reason.RESPONSE_UNREADABLE, detail=type(error).__name__)

    async def _deliver(self, message: Outgoing, start_by: float, token: Token) -> Outcome:
        """One request under its hard deadline, and what its answer means."""
        sends, adapter, timeout_ms = (
            self._sends,
            self.provider.adapter,
            self.provider.facts.timeout_ms,
        )
        if isinstance(adapter, HttpAdapter):
            request = adapter.request(message)
            sender = sends.sender_for(self.provider)
            answer = await sender.call(
                request, timeout_ms=timeout_ms, start_by=start_by, clock=sends.seconds, token=token
            )
            return adapter.outcome(answer) if isinstance(answer, HttpReply) else answer
        await token.renew(start_by)
        if sends.monotonic() > start_by or not token.is_good():
            return NotSent(Reason.START_TOO_LATE)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await adapter.send(message)
        except TimeoutError:
            return Unknown(Reason.TIMED_OUT, detail=f"no answer within {timeout_ms} ms")

    def _told(self, told: Any) -> None:
        """What became of one call is durable; with the last of them the send has ended."""
        if isinstance(told, BaseException):
            self._fail(told)
            return
        self._calls -= 1
        if not self._calls:
            self._sends.end(self)

    def _fail(self, error: BaseException) -> None:
        """
        It goes no further: what still waits is claimed again, and an intent without an answer is
        found by a timer.
        """
        if not isinstance(error, Stopped | LookupError | StoreBusy | asyncio.CancelledError):
            log.error(
                "dispatch.send_failed",
                provider=self.provider.name,
                message_id=self.row.message,
                exc_info=error,
            )
        self._sends.end(self)
