"""
The spans of a message's trace, from decisions that are committed and from calls that were made.

    publish                in the publisher's trace: the request or record that brought the event
    accept                 the first span of the message's own trace, linked to the publisher's
    ├── gates              one for each decision that asked the gates
    ├── render             one for each rendering
    ├── call               one for each attempt
    │   └── receipt        one for each report about it
    └── ended

Ids follow from the message's id (``trace_context``), so each process adds its spans by itself. A
span carries nothing about a person. Nothing here raises, and nothing waits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import structlog

from orchestrator.core.facts import Answered, ReceiptReceived
from orchestrator.core.gates import Check
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import Accepted, Outcome, OutcomeKind, kind_of
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import Published
from orchestrator.events.event import Event
from orchestrator.primitives.ids import random_bytes
from orchestrator.primitives.masking import masked
from orchestrator.primitives.trace_context import (
    ROOT,
    TRACEPARENT,
    TraceContext,
    is_sampled,
    message_context,
    parse_traceparent,
    publisher_of,
    span_id_of,
    trace_id_of,
)

log = structlog.get_logger()

LINKS_MAX = 32
"""Of a publish span to the messages that its event started."""
NANOSECONDS = 1_000_000
"""In a millisecond."""

P = ParamSpec("P")
T = TypeVar("T")


class SpanEvent(NamedTuple):
    name: str
    at_ns: int
    attributes: Mapping[str, Any]


class Span(NamedTuple):
    """
    One span, ended; times are UTC nanoseconds. ``kind`` is a word of OpenTelemetry in lower case,
    ``error`` is set if it failed.
    """

    name: str
    context: TraceContext
    parent: TraceContext | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    kind: str = "internal"
    links: Sequence[TraceContext] = ()
    events: Sequence[SpanEvent] = ()
    error: str = ""


def harmless(work: Callable[P, T]) -> Callable[P, T | None]:
    """The same function; a failure is logged, for no message may suffer from being traced."""

    @functools.wraps(work)
    def work_harmlessly(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return work(*args, **kwargs)
        except Exception:
            log.exception("tracing.failed")
            return None

    return work_harmlessly


class Tracing:
    """``put`` takes a span and returns at once; ``share`` is the share of messages to trace."""

    def __init__(
        self,
        put: Callable[[Span], None],
        share: Callable[[], float],
        now: Callable[[], int],
        entropy: Callable[[int], bytes] = random_bytes,
    ) -> None:
        self._put = put
        self._share = share
        self._now = now
        self._entropy = entropy

    @harmless
    def trace_id(self, message: Message, event: Mapping[str, Any]) -> str | None:
        """The trace of a message, None if it is not recorded."""
        return trace_id_of(message.id) if self._samples(message, event) else None

    def _samples(self, message: Message, event: Mapping[str, Any]) -> bool:
        return is_sampled(message.id, event, self._share())

    @harmless
    def published(
        self, source: str, event: Event, answer: Published, began_at: int, header: str | None = None
    ) -> None:
        """
        The request or record that brought an event, in the trace of its publisher. ``source`` is
        http or kafka, ``header`` the trace context beside the event: its sender is nearer than the
        one that the event names.
        """
        attribute = event.attributes.get(TRACEPARENT)
        parent = parse_traceparent(header) or parse_traceparent(attribute)
        if parent is None or not parent.sampled:
            return
        document = {"ce": event.attributes}
        contexts = (
            message_context(one, document, self._share()) for one in answer.messages[:LINKS_MAX]
        )
        self._put(
            Span(
                "publish",
                TraceContext(parent.trace_id, self._random_id()),
                parent,
                began_at * NANOSECONDS,
                self._now() * NANOSECONDS,
                {
                    **event_attributes(event.source, event.id, event.type),
                    "kaskad.event.status": answer.status,
                    "kaskad.messages": len(answer.messages),
                },
                "server" if source == "http" else "consumer",
                [one for one in contexts if one.sampled],
            )
        )

    @harmless
    def observe(self, decided: Sequence[Decided]) -> None:
        """The spans of a committed batch."""
        now = self._now()
        for one in decided:
            if self._samples(one.decision.message, one.event):
                self._decision(one, now)

    def _decision(self, one: Decided, now: int) -> None:
        before, message, fact = one.before, one.decision.message, one.fact
        end = max(now, one.at)
        if before is None:
            publisher = publisher_of(one.event)
            self._add(
                message,
                ROOT,
                (message.created_at, end),
                event_attributes(message.event_source, message.event_id, message.event_type),
                context=root_of(message),
                parent=None,
                links=[publisher] if publisher is not None else (),
            )
        if one.decision.checks:
            what = {"kaskad.fact": type(fact).__name__}
            events = [check_event(check, one.at) for check in one.decision.checks]
            self._add(message, "gates", (one.at, end), what, events=events)
        if isinstance(fact, ReceiptReceived):
            attempt = message.attempts[fact.attempt]
            self._add(
                message,
                "receipt",
                (one.at, end),
                {**attempt_attributes(attempt), "kaskad.state": str(fact.state)},
                parent=call_of(message, attempt),
            )
        elif not isinstance(fact, Answered):
            self._lost_calls(before, message, one.at)
        if message.terminal and (before is None or before.status is not message.status):
            found = {
                "kaskad.status": message.status.value,
                "kaskad.reason": message.reason.value if message.reason is not None else None,
                "kaskad.succeeded_by": message.succeeded_by,
                "kaskad.attempts": len(message.attempts),
            }
            self._add(message, "ended", (one.at, end), found)

    def _lost_calls(self, before: Message | None, message: Message, at: int) -> None:
        """The calls of a process that died: what has become of them was found by a timer."""
        earlier = before.attempts if before is not None else []
        for old, new in zip(earlier, message.attempts, strict=False):
            if old.outcome is OutcomeKind.PENDING and new.outcome is not OutcomeKind.PENDING:
                reason = new.reason.value if new.reason is not None else ""
                times = (new.intent_at, max(at, new.intent_at))
                self._call(message, new, times, new.outcome, reason)

    @harmless
    def rendered(
        self,
        message: Message,
        event: Mapping[str, Any],
        channel: str,
        provider: str,
        began_at: int,
        seconds: float,
        problem: str = "",
    ) -> None:
        """A rendering that began at ``began_at``; ``problem`` is the reason why it failed."""
        if self._samples(message, event):
            end = began_at + seconds * 1000
            what = {"kaskad.channel": channel, "kaskad.provider": provider}
            self._add(message, "render", (began_at, end), what, error=problem)

    @harmless
    def called(
        self,
        message: Message,
        event: Mapping[str, Any],
        attempt: Attempt,
        outcome: Outcome,
        began_at: int,
        seconds: float,
    ) -> str | None:
        """A provider call. Returns its trace id, None if it is not recorded."""
        if not self._samples(message, event):
            return None
        reason = "" if isinstance(outcome, Accepted) else outcome.reason.value
        times = (began_at, began_at + seconds * 1000)
        self._call(message, attempt, times, kind_of(outcome), reason)
        return trace_id_of(message.id)

    def _call(
        self,
        message: Message,
        attempt: Attempt,
        times: tuple[float, float],
        outcome: OutcomeKind,
        reason: str,
    ) -> None:
        found = {"kaskad.outcome": outcome.value, "kaskad.reason": reason or None}
        self._add(
            message,
            "call",
            times,
            {**attempt_attributes(attempt), **found},
            context=call_of(message, attempt),
            kind="client",
            error=reason,
        )

    def _add(
        self,
        message: Message,
        name: str,
        times: tuple[float, float],
        attributes: Mapping[str, Any],
        *,
        context: TraceContext | None = None,
        **more: Any,
    ) -> None:
        """A span of a message's trace, by default a child of its first one."""
        root = root_of(message)
        more.setdefault("parent", root)
        about = {
            "kaskad.message.id": message.id,
            "kaskad.policy": message.policy,
            "kaskad.policy.version": message.policy_version,
            "kaskad.class": message.message_class,
            **{key: value for key, value in attributes.items() if value is not None},
        }
        start, end = (int(at * NANOSECONDS) for at in times)
        context = context or TraceContext(root.trace_id, self._random_id())
        self._put(Span(name, context, start_ns=start, end_ns=end, attributes=about, **more))

    def _random_id(self) -> str:
        return self._entropy(8).hex()


def root_of(message: Message) -> TraceContext:
    """The first span of a message's trace."""
    return TraceContext(trace_id_of(message.id), span_id_of(message.id, ROOT))


def call_of(message: Message, attempt: Attempt) -> TraceContext:
    """The span of an attempt's call, to which its receipts belong."""
    return TraceContext(trace_id_of(message.id), span_id_of(message.id, f"call/{attempt.number}"))


def event_attributes(source: str, id: str, type: str) -> dict[str, Any]:
    """The event, in OpenTelemetry's words for CloudEvents; ids may have a phone in them."""
    return {
        "cloudevents.event_source": source,
        "cloudevents.event_id": masked(id),
        "cloudevents.event_type": type,
    }


def attempt_attributes(attempt: Attempt) -> dict[str, Any]:
    return {
        "kaskad.attempt": attempt.number,
        "kaskad.step": attempt.step,
        "kaskad.channel": attempt.channel,
        "kaskad.provider": attempt.provider,
    }


def check_event(check: Check, at: int) -> SpanEvent:
    """What one gate has said."""
    reason = {"kaskad.reason": check.reason.value} if check.reason is not None else {}
    what = {"kaskad.verdict": check.verdict.value, "kaskad.step": check.step, **reason}
    return SpanEvent(check.gate, at * NANOSECONDS, {k: v for k, v in what.items() if v is not None})
