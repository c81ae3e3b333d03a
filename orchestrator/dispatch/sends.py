"""
One send, from its row of the backlog to the fact that records the provider's answer.

    render ─► Prepared ─► intent committed ─► call ─► Answered ─► committed, slot released

Each step is begun by the one before it: the engine calls back as soon as a fact is committed. Only
the call itself is a task, so nothing waits for anything but a provider.
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
from orchestrator.dispatch.answers import AnswerRule, OnBreaker
from orchestrator.dispatch.outgoing import PublicUrls, ReadyStep, outgoing, render
from orchestrator.dispatch.provider import ActiveProvider, ProviderQueue
from orchestrator.dispatch.rates import Rate, Token
from orchestrator.engine.answers import OnResult
from orchestrator.engine.commands import ApplyFact, FactApplied
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.render import Rendered, Unrenderable
from orchestrator.stores.port import StoreBusy
from orchestrator.stores.rows import ReadyRow

log = structlog.get_logger()

START_WITHIN_SECONDS = 1.0

OnAnswer = Callable[[ActiveProvider, AnswerRule, Outcome, float], None]
"""Called after each call, with its row of the answer table and its duration in seconds."""


class Sender(Protocol):
    """Makes the HTTP request of an adapter."""

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
    """The shared parts of all sends of a process, and the set of running sends."""

    def __init__(
        self,
        engine: Engine,
        sender_for: Callable[[ActiveProvider], Sender],
        urls: PublicUrls,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes],
        on_answer: OnAnswer,
    ) -> None:
        self.engine = engine
        self.sender_for = sender_for
        self.urls = urls
        self.now = now
        self.monotonic = monotonic
        self.entropy = entropy
        self.on_answer = on_answer
        self.running: set[Send] = set()
        self.stopped = False
        self._ended = asyncio.Event()

    def seconds(self) -> float:
        """UTC seconds."""
        return self.now() / 1000

    def end(self, send: Send) -> None:
        """End a send, whatever its result: release its slot and let its row be claimed again."""
        if send not in self.running:
            return
        self.running.discard(send)
        send.provider.taken.discard((send.row.message, send.row.step))
        send.provider.release(1)
        send.queue.wake.set()
        if not self.running:
            self._ended.set()

    async def stop(self, within_seconds: float) -> None:
        """
        Let running sends finish, then cancel the calls that are left: each is recorded as unknown.
        A send that has not called by then does not call any more.
        """
        if self.running:
            self._ended.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), within_seconds)
        self.stopped = True
        late = [task for send in self.running for task in send.tasks]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class Send:
    """One row on its way out, with a slot and a token. ``ready`` None: nothing is left to send."""

    __slots__ = (
        "_attempt",
        "_open_calls",
        "_rendered",
        "_sends",
        "provider",
        "queue",
        "ready",
        "row",
        "tasks",
        "tokens",
    )

    def __init__(
        self,
        sends: Sends,
        provider: ActiveProvider,
        queue: ProviderQueue,
        row: ReadyRow,
        ready: ReadyStep | None,
        token: Token,
    ) -> None:
        self._sends = sends
        self.provider = provider
        self.queue = queue
        self.row = row
        self.ready = ready
        self.tokens = [token]
        self.tasks: list[asyncio.Task[None]] = []
        self._attempt = 0
        self._open_calls = 0
        self._rendered: Rendered | None = None

    def begin(self, rate: Rate) -> None:
        """Render and ask for the intents. Raises nothing. Each of several devices needs a token."""
        self._sends.running.add(self)
        ready = self.ready
        if ready is None:
            self._sends.end(self)
            return
        try:
            self._attempt = len(ready.message.attempts)
            self._rendered = self._render(ready, self._attempt)
            if len(ready.targets) > 1:
                self._start(self._take_tokens(ready, self._rendered, rate))
            else:
                self._ask_for_intents(ready, self._rendered)
        except Unrenderable as problem:
            self._report_unrenderable(ready, problem)
        except Exception as error:
            self._fail(error)

    def _render(self, ready: ReadyStep, attempt: int) -> Rendered:
        return render(ready, self._sends.urls, self.provider, attempt, self._sends.now())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def _take_tokens(self, ready: ReadyStep, rendered: Rendered, rate: Rate) -> None:
        try:
            self.tokens += await rate.take_all(
                len(ready.targets) - 1, ready.message.message_class == OTP
            )
            self._ask_for_intents(ready, rendered)
        except Exception as error:
            self._fail(error)

    def _ask_for_intents(self, ready: ReadyStep, rendered: Rendered) -> None:
        parts = rendered.count.parts if rendered.count is not None else None
        cost = self.provider.cost.of(parts) if self.provider.cost is not None else None
        fact = Prepared(
            ready.step, self.provider.name, ready.targets, rendered.content_hash, parts, cost
        )
        self._apply_fact(ready, fact, self._on_intents)

    def _report_unrenderable(self, ready: ReadyStep, problem: Unrenderable) -> None:
        try:
            detail = f"{problem.detail} {problem.where}".strip()
            self._open_calls = 1
            fact = Unpreparable(ready.step, problem.reason, detail)
            self._apply_fact(ready, fact, self._on_recorded)
        except Exception as error:
            self._fail(error)

    def _apply_fact(self, ready: ReadyStep, fact: Fact, on_result: OnResult) -> None:
        message = ready.message
        command = ApplyFact(message.id, fact, urgent=message.message_class == OTP)
        self._sends.engine.enqueue(command, on_result)

    def _on_intents(self, result: Any) -> None:
        """The intents are committed, if the core decided on any: each call has 1 s to start."""
        if isinstance(result, BaseException):
            self._fail(result)
            return
        try:
            self._start_calls(result)
        except Exception as error:
            self._fail(error)

    def _start_calls(self, applied: FactApplied) -> None:
        ready, rendered, sends = self.ready, self._rendered, self._sends
        if not applied.calls or ready is None or rendered is None or sends.stopped:
            sends.end(self)
            return
        first = applied.calls[0].attempt
        if first != self._attempt:  # another step was sent meanwhile, and links name the attempt
            rendered = self._render(ready, first)
        self._open_calls = len(applied.calls)
        for call, token in zip(applied.calls, self.tokens, strict=False):
            self._start(self._call(ready, applied, call, rendered, token))

    async def _call(
        self, ready: ReadyStep, applied: FactApplied, call: Call, rendered: Rendered, token: Token
    ) -> None:
        sends, provider = self._sends, self.provider
        try:
            attempt = applied.decision.message.attempts[call.attempt]
            message = outgoing(
                ready, sends.urls, attempt, call.target, rendered, sends.now(), sends.entropy(64)
            )
            started = sends.monotonic()
            outcome = await self._outcome(message, applied.decided_at + START_WITHIN_SECONDS, token)
            rule = await provider.apply(outcome, sends.now())
            if rule.breaker is OnBreaker.OPENS and isinstance(outcome, Refused):
                log.error(
                    "provider.configuration_refused", provider=provider.name, code=outcome.code
                )
            sends.on_answer(provider, rule, outcome, sends.monotonic() - started)
            self._apply_fact(ready, Answered(call.attempt, outcome), self._on_recorded)
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
        """Make one request under its hard timeout, and translate the answer."""
        sends, adapter = self._sends, self.provider.adapter
        timeout_ms = self.provider.definition.timeout_ms
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

    def _on_recorded(self, result: Any) -> None:
        """One answer is durable; the send ends with the last one."""
        if isinstance(result, BaseException):
            self._fail(result)
            return
        self._open_calls -= 1
        if not self._open_calls:
            self._sends.end(self)

    def _fail(self, error: BaseException) -> None:
        """
        End the send: a row without an intent is claimed again; a timer finds an intent without an
        answer.
        """
        if not isinstance(error, Stopped | LookupError | StoreBusy | asyncio.CancelledError):
            log.error(
                "dispatch.send_failed",
                provider=self.provider.name,
                message_id=self.row.message,
                exc_info=error,
            )
        self._sends.end(self)
