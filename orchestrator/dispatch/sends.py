"""
One send, from its row of the backlog to the fact that records the provider's answer.

    render ─► Prepared ─► intent committed ─► call ─► Answered ─► committed, slot released

Each step is begun by the one before it: the engine calls back as soon as a fact is committed. Only
the call itself is a task, so nothing waits for anything but a provider.

What nobody foresaw ends in a fact as well: before the intent the step cannot be prepared, before
the call its content is refused, after it the outcome is unknown. Where even the fact cannot be
recorded, the row rests longer after each failure (``Failing``), and others go before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from orchestrator.channels import HttpAdapter, HttpCall, HttpReply, Outgoing, Unsendable
from orchestrator.core.effects import Call
from orchestrator.core.facts import Answered, Fact, Prepared, Unpreparable
from orchestrator.core.message import Attempt
from orchestrator.core.outcomes import NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import OTP
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.dispatch.hosts import host_of
from orchestrator.dispatch.outgoing import ReadyStep, outgoing, render
from orchestrator.dispatch.provider import ActiveProvider, ProviderQueue
from orchestrator.dispatch.rates import Rate, Token
from orchestrator.dispatch.running import Sends
from orchestrator.dispatch.unforeseen import is_foreseen, unwritable, without_words
from orchestrator.engine.answers import OnResult
from orchestrator.engine.commands import ApplyFact, FactApplied
from orchestrator.engine.engine import Stopped
from orchestrator.primitives.durations import duration
from orchestrator.render import Rendered, Unrenderable
from orchestrator.stores.port import StoreBusy
from orchestrator.stores.rows import ReadyRow, StepKey

log = structlog.get_logger()

START_WITHIN_SECONDS = 1.0
TOKEN_ENDED = "the access token is not good any more; it goes again with a new one"
STALE_TRIES = 3
"""So often a row with nothing left to send is looked at before it rests."""


class Send:
    """
    One row on its way out, with a slot and a token. ``ready`` None: nothing is left to send; an
    ``Unrenderable``: why it cannot be sent.
    """

    __slots__ = (
        "_attempt",
        "_open_calls",
        "_problem",
        "_rendered",
        "_sends",
        "key",
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
        ready: ReadyStep | Unrenderable | None,
        token: Token,
    ) -> None:
        self._sends = sends
        self.provider = provider
        self.queue = queue
        self.row = row
        self.key: StepKey = (row.message, row.step)
        self.ready = ready if isinstance(ready, ReadyStep) else None
        self._problem = ready if isinstance(ready, Unrenderable) else None
        self.tokens = [token]
        self.tasks: list[asyncio.Task[None]] = []
        self._attempt = 0
        self._open_calls = 0
        self._rendered: Rendered | None = None

    @classmethod
    def at_once(
        cls,
        sends: Sends,
        provider: ActiveProvider,
        queue: ProviderQueue,
        row: ReadyRow,
        ready: ReadyStep,
        token: Token,
    ) -> Send:
        """
        A send that leaves with the batch that made its step ready; it owns its slot from here on.
        Raises what rendering raises.
        """
        send = cls(sends, provider, queue, row, ready, token)
        send._attempt = len(ready.message.attempts)
        send._rendered = send._render(ready, send._attempt)
        sends.running.add(send)
        provider.taken.add((row.message, row.step))
        return send

    @property
    def fact(self) -> Prepared:
        """What a send that leaves at once has decided about."""
        if self.ready is None or self._rendered is None:
            raise AssertionError("only a rendered send can leave")
        return self._prepared(self.ready, self._rendered)

    def leave(self, applied: FactApplied) -> None:
        """The batch is committed: make the calls."""
        self._on_intents(applied)

    def stay(self) -> None:
        """The batch failed: end, as if there had been no step."""
        self._sends.end(self)

    def begin(self, rate: Rate) -> None:
        """Render and ask for the intents. Raises nothing. Each of several devices needs a token."""
        self._sends.running.add(self)
        ready = self.ready
        if ready is None:
            self._begin_without(self._problem)
            return
        try:
            self._attempt = len(ready.message.attempts)
            self._rendered = self._render(ready, self._attempt)
            if len(ready.targets) > 1:
                self._start(self._take_tokens(ready, self._rendered, rate))
            else:
                self._ask_for_intents(ready, self._rendered)
        except Unrenderable as problem:
            self._report_unrenderable(problem)
        except Exception as error:
            self._fail(error)

    def _begin_without(self, problem: Unrenderable | None) -> None:
        """Nothing can be sent: say why, or leave a row that another process has sent."""
        if problem is not None:
            self._report_unrenderable(problem)
            return
        # a row that stays although nothing is left to send must not be taken again and again
        self._sends.failing.failed(self.key, free_tries=STALE_TRIES)
        self._sends.end(self)

    def _render(self, ready: ReadyStep, attempt: int) -> Rendered:
        sends, problem = self._sends, Reason.TEMPLATE_ERROR.value
        now = sends.now()
        if sends.tracing is None:
            return render(ready, sends.urls, self.provider, attempt, now)
        began = sends.monotonic()
        try:
            rendered = render(ready, sends.urls, self.provider, attempt, now)
            problem = ""
            return rendered
        except Unrenderable as error:
            problem = error.reason.value
            raise
        finally:
            seconds = sends.monotonic() - began
            what = (ready.message, ready.event, ready.channel, self.provider.name)
            sends.tracing.rendered(*what, now, seconds, problem)

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
        self._apply_fact(self._prepared(ready, rendered), self._on_intents)

    def _prepared(self, ready: ReadyStep, rendered: Rendered) -> Prepared:
        parts = rendered.count.parts if rendered.count is not None else None
        cost = self.provider.cost.of(parts) if self.provider.cost is not None else None
        what = (ready.targets, rendered.content_hash, parts, cost)
        return Prepared(ready.step, self.provider.name, *what, choices=rendered.choices)

    def _report_unrenderable(self, problem: Unrenderable) -> None:
        try:
            detail = problem.said
            self._open_calls = 1
            fact = Unpreparable(self.row.step, problem.reason, detail)
            self._apply_fact(fact, self._on_recorded)
        except Exception as error:
            self._fail(error)

    def _apply_fact(self, fact: Fact, on_result: OnResult) -> None:
        command = ApplyFact(self.row.message, fact, urgent=self.queue.urgent)
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
        self._open_calls = len(applied.calls)
        try:
            if first != self._attempt:  # another step was sent meanwhile; links name the attempt
                rendered = self._render(ready, first)
        except Unrenderable as problem:
            for call in applied.calls:
                self._record(call.attempt, unwritable(problem.reason, problem.detail))
            return
        for call, token in zip(applied.calls, self.tokens, strict=False):
            self._start(self._call(ready, applied, call, rendered, token))

    async def _call(
        self, ready: ReadyStep, applied: FactApplied, call: Call, rendered: Rendered, token: Token
    ) -> None:
        sends = self._sends
        try:
            began_at, started = sends.now(), sends.monotonic()
            start_by = applied.decided_at + START_WITHIN_SECONDS
            attempt = applied.decision.message.attempts[call.attempt]
            access = await sends.access_token(self.provider, start_by)
            request = self._request(ready, attempt, call.target, rendered, access)
            outcome: Outcome
            if isinstance(request, NotSent | Refused):
                host, outcome = None, request
            else:
                host = host_of(request[1])
                outcome = await self._outcome(*request, host, start_by, token)
            outcome = self.provider.judge(outcome, ready.message.recipient, call.target)
            seconds, trace_id = sends.monotonic() - started, None
            if sends.tracing is not None:
                what = (ready.message, ready.event, attempt, outcome)
                trace_id = sends.tracing.called(*what, began_at, seconds)
            await self._apply_answer(outcome, host, seconds, trace_id)
            self._record(call.attempt, outcome)
        except Exception as error:
            self._fail(error)

    async def _apply_answer(
        self, outcome: Outcome, host: str | None, seconds: float, trace_id: str | None
    ) -> None:
        """Update rate, breaker and metrics of an answer, which is recorded in any case."""
        provider, sends = self.provider, self._sends
        try:
            rule = await provider.apply(outcome, sends.now(), host)
            sends.on_answer(provider, rule, outcome, seconds, trace_id)
        except asyncio.CancelledError:  # stopped while the rate was paused
            return
        except StoreBusy as error:
            log.info("dispatch.store_busy", provider=provider.name, why=str(error))
        except Exception:
            log.exception("dispatch.answer_ignored", provider=provider.name)

    def _request(
        self,
        ready: ReadyStep,
        attempt: Attempt,
        target: Address,
        rendered: Rendered,
        access: str | NotSent | Refused,
    ) -> tuple[Outgoing, HttpCall | None] | NotSent | Refused:
        """The message for the adapter, and its request over HTTP; else nothing can leave."""
        sends, adapter = self._sends, self.provider.adapter
        if not isinstance(access, str):
            return access
        try:
            message = outgoing(
                *(ready, sends.urls, attempt, target, rendered),
                *(sends.now(), sends.entropy(64), access),
            )
            return message, adapter.request(message) if isinstance(adapter, HttpAdapter) else None
        except Unsendable as problem:
            return problem.outcome
        except Exception as error:
            self._log_adapter()
            return unwritable("adapter_failed", type(error).__name__)

    async def _outcome(
        self,
        message: Outgoing,
        request: HttpCall | None,
        host: str | None,
        start_by: float,
        token: Token,
    ) -> Outcome:
        """The outcome of the call; ``host`` is where it goes if a user supplied that."""
        try:
            shut = self.provider.hosts.refusal(host, self._sends.now()) if host else None
            return shut or await self._deliver(message, request, start_by, token)
        except asyncio.CancelledError:
            return Unknown(Reason.PROCESS_DIED, detail="stopped while sending")
        except Unsendable as problem:
            return problem.outcome
        except Exception as error:
            self._log_adapter()
            return Unknown(Reason.RESPONSE_UNREADABLE, detail=type(error).__name__)

    def _log_adapter(self) -> None:
        log.exception(
            "dispatch.adapter_failed", provider=self.provider.name, message_id=self.row.message
        )

    async def _deliver(
        self, message: Outgoing, request: HttpCall | None, start_by: float, token: Token
    ) -> Outcome:
        """Make one request under its hard timeout, and translate the answer."""
        sends, adapter = self._sends, self.provider.adapter
        timeout_ms = self.provider.definition.timeout_ms
        if request is not None and isinstance(adapter, HttpAdapter):
            sender = sends.sender_for(self.provider)
            answer = await sender.call(
                request, timeout_ms=timeout_ms, start_by=start_by, clock=sends.seconds, token=token
            )
            if not isinstance(answer, HttpReply):
                return answer
            login = self.provider.login
            if login is not None and login.goes_again(answer, message.access_token):
                return NotSent(Reason.NOT_TAKEN, 0, str(answer.status), TOKEN_ENDED)
            return adapter.outcome(answer)
        await token.renew(start_by)
        if sends.monotonic() > start_by or not token.is_good():
            return NotSent(Reason.START_TOO_LATE)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await adapter.send(message)
        except TimeoutError:
            return Unknown(Reason.TIMED_OUT, detail=f"no answer within {duration(timeout_ms)}")

    def _record(self, number: int, outcome: Outcome) -> None:
        """Record an answer; one that cannot be recorded as it is, without the provider's words."""

        def on_result(result: Any) -> None:
            plain = without_words(outcome)
            if is_foreseen(result) or plain == outcome:
                self._on_recorded(result)
                return
            try:
                self._apply_fact(Answered(number, plain), self._on_recorded)
            except Exception as error:
                self._fail(error)

        self._apply_fact(Answered(number, outcome), on_result)

    def _on_recorded(self, result: Any) -> None:
        """One answer is durable; the send ends with the last one."""
        if isinstance(result, BaseException):
            self._fail(result)
            return
        self._open_calls -= 1
        if not self._open_calls:
            self._sends.failing.worked(self.key)
            self._sends.end(self)

    def _fail(self, error: BaseException) -> None:
        """
        End the send: a row without an intent is claimed again, after a rest that grows; a timer
        finds an intent without an answer.
        """
        if not is_foreseen(error):
            log.error(
                "dispatch.send_failed",
                provider=self.provider.name,
                message_id=self.row.message,
                exc_info=error,
            )
        if not isinstance(error, Stopped | StoreBusy | asyncio.CancelledError):
            self._sends.failing.failed(self.key)
        self._sends.end(self)
