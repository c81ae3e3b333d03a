"""The timeline of a message, read from its decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.facts import Answered, ReceiptReceived
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.message import Message, Run, Sending
from orchestrator.core.outcomes import Accepted, kind_of
from orchestrator.core.reasons import Reason
from orchestrator.engine.batch import Decided
from orchestrator.virtual.spans import show_span


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """
    ``verb``: send, skip, leave, hold; answer (the provider said no, or nothing), receipt,
    end (the message). Times are UTC milliseconds. ``word`` is the outcome, state or status;
    ``detail`` what a gate compared, or a code.
    """

    at: int
    verb: str
    channel: str = ""
    provider: str = ""
    reason: Reason | None = None
    until: int | None = None
    word: str = ""
    detail: str = ""
    companion: bool = False

    def show(self, since: int) -> str:
        """One line for people, its time counted from ``since``."""
        parts = [show_span(self.at - since), self.verb, self.channel, self.word]
        if self.provider:
            parts.append(f"by {self.provider}")
        if self.reason is not None:
            parts.append(f"because {self.reason.value}")
        if self.until is not None:
            parts.append(f"until {show_span(self.until - since)}")
        if self.detail:
            parts.append(f"({self.detail})")
        if self.companion:
            parts.append("[companion]")
        return " ".join(part for part in parts if part)


def entries(decided: Decided, now: int) -> Iterator[TimelineEntry]:
    """The timeline entries of one decision, in the order in which they are shown."""
    before, after = decided.before, decided.decision.message
    yield from answers_and_receipts(decided, now)
    for run in after.runs:
        known = before.run_of(run.step) if before is not None else None
        if run.ended is not None and (known is None or known.ended is None):
            yield left(after, run, decided.decision.checks, now)
        elif newly_held(run, known):
            detail = deciding(decided.decision.checks, run)
            yield TimelineEntry(
                now,
                "hold",
                run.channel,
                "",
                run.held_for,
                run.until,
                detail=detail or run.rule,
                companion=run.companion,
            )
    for attempt in after.attempts[len(before.attempts) if before is not None else 0 :]:
        run_of = after.run_of(attempt.step)
        companion = run_of is not None and run_of.companion
        yield TimelineEntry(now, "send", attempt.channel, attempt.provider, companion=companion)
    if after.terminal and (before is None or before.status is not after.status):
        by = (
            f"{after.status.value} by {after.succeeded_by}"
            if after.succeeded_by
            else after.status.value
        )
        yield TimelineEntry(now, "end", word=by, reason=after.reason, detail=after.reason_detail)


def newly_held(run: Run, known: Run | None) -> bool:
    """Whether a run is held for another reason, or until another time, than before."""
    if run.sending is not Sending.HELD:
        return False
    return (
        known is None
        or known.sending is not Sending.HELD
        or (known.until, known.held_for) != (run.until, run.held_for)
    )


def left(message: Message, run: Run, checks: tuple[Check, ...], now: int) -> TimelineEntry:
    """The entry for a step that has ended: a skip if nothing of it was ever sent."""
    verb = "leave" if message.attempts_of(run.step) else "skip"
    detail = deciding(checks, run) or run.rule
    return TimelineEntry(
        now, verb, run.channel, "", run.ended, detail=detail, companion=run.companion
    )


def deciding(checks: tuple[Check, ...], run: Run) -> str:
    """The values that the refusing gate compared."""
    for check in checks:
        if check.step == run.step and check.verdict is not Verdict.GO:
            parts = [check.rule, check.value, f"limit {check.limit}" if check.limit else None]
            return ", ".join(part for part in parts if part)
    return ""


def answers_and_receipts(decided: Decided, now: int) -> Iterator[TimelineEntry]:
    """The provider's answer, if it did not accept, or its receipt."""
    match decided.fact:
        case Answered() as fact if not isinstance(fact.outcome, Accepted):
            attempt = decided.decision.message.attempts[fact.attempt]
            word = kind_of(fact.outcome).value
            yield TimelineEntry(
                now, "answer", attempt.channel, attempt.provider, fact.outcome.reason, word=word
            )
        case ReceiptReceived() as fact:
            attempt = decided.decision.message.attempts[fact.attempt]
            reason = fact.failure.reason if fact.failure is not None else None
            yield TimelineEntry(now, "receipt", attempt.channel, reason=reason, word=fact.state)
