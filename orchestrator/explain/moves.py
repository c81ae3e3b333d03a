"""
The moves of one decision: steps that were left or held, and the end of the message, with reasons.

A move is the difference between the message before and after a decision. A gate's "no" is explained
with its check; the move is its consequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.core import facts
from orchestrator.core.cascade.waiting import IN_TIME
from orchestrator.core.message import Attempt, Message, Run, Sending
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import REFUSALS, Reason
from orchestrator.core.recipient import Instant
from orchestrator.explain.otherwise import OTHERWISE
from orchestrator.explain.words import Place, attempt_named, money
from orchestrator.history.replay import Moment
from orchestrator.primitives.durations import duration

TIMELY = {reason: state for state, reason in IN_TIME.items()}
NOT_SENT = (
    Reason.CONNECT_FAILED,
    Reason.THROTTLED,
    Reason.BREAKER_OPEN,
    Reason.NOT_TAKEN,
    Reason.REFUSED_CONFIGURATION,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Everything that a reason may be explained by."""

    policy: Policy
    message: Message
    place: Place
    run: Run | None
    fact: facts.Fact | None
    detail: str

    @property
    def step(self) -> Step | None:
        return self.policy.plan[self.run.step] if self.run is not None else None

    @property
    def attempts(self) -> list[Attempt]:
        return self.message.attempts_of(self.run.step) if self.run is not None else []


Known = Mapping[tuple[int | None, str | None], str | None]
"""What the gates said would have let a step pass, by step and reason; the latest counts."""


def moves(moment: Moment, policy: Policy, place: Place, asked: Known) -> Iterator[dict[str, Any]]:
    """Every move of a decision in the order of its runs, the message's own end last."""
    after = moment.decision.message
    for run in after.runs:
        before = moment.before.run_of(run.step)
        if run.ended is not None and (before is None or before.ended is None):
            cause = Cause(policy, after, place, run, moment.fact, run.rule)
            yield move("left", cause, run.ended, run.rule, None, asked)
        elif (
            run.sending is Sending.HELD and run.held_for is not None and not same_hold(before, run)
        ):
            cause = Cause(policy, after, place, run, moment.fact, run.rule)
            yield move("held", cause, run.held_for, run.rule, run.until, asked)
    if after.status is not moment.before.status and after.terminal:
        cause = Cause(policy, after, place, after.last_run, moment.fact, after.reason_detail)
        found = move("ended", cause, after.reason, after.reason_detail, None, asked)
        yield {**found, "status": after.status.value, "succeeded_by": after.succeeded_by}


def same_hold(before: Run | None, run: Run) -> bool:
    return (
        before is not None
        and before.sending is Sending.HELD
        and (before.until, before.held_for) == (run.until, run.held_for)
    )


def move(
    what: str,
    cause: Cause,
    reason: Reason | None,
    detail: str,
    until: Instant | None,
    asked: Known,
) -> dict[str, Any]:
    """``otherwise`` is the gate's own where a gate was the reason."""
    step = cause.run.step if cause.run is not None else None
    otherwise = None
    if reason is not None:
        otherwise = asked.get((step, reason.value)) or because(reason, cause)
    return {
        "what": what,
        "step": step,
        "channel": cause.run.channel if cause.run is not None else None,
        "reason": reason.value if reason is not None else None,
        "reason_detail": detail or None,
        "sentence": reason.describe() if reason is not None else None,
        "until": until,
        "otherwise": otherwise,
    }


def because(reason: Reason, cause: Cause) -> str:
    """The change that would have led elsewhere, with the facts of this message."""
    if reason in TIMELY:
        return in_time(TIMELY[reason], cause) or OTHERWISE[reason]
    if reason is Reason.DEADLINE_PASSED:
        at, given = cause.place.words(cause.message.deadline_at), duration(cause.policy.deadline_ms)
        return f"It would have had to be done before {at}; the policy's `deadline` is {given}."
    if reason is Reason.TOO_EXPENSIVE:
        return too_expensive(cause) or OTHERWISE[reason]
    if reason is Reason.TOO_LONG:
        return (
            f"It took {cause.detail.replace(', at most', ', where `max_parts` allows')}."
            f" {OTHERWISE[reason]}"
        )
    if reason is Reason.MISSING_VARIABLE and cause.detail:
        name, absent, where = cause.detail.partition(" is absent")
        if not absent and " " in name:
            return f"{OTHERWISE[reason]} It was: {cause.detail}"
        file = where.removeprefix(" in ")
        return (
            f"`{name}` would have had to be there, in the event or the profile, or have a default"
            f" in the template{f' {file}' if file else ''}."
        )
    if reason in (Reason.TEMPLATE_MISSING, Reason.TEMPLATE_ERROR) and cause.detail:
        return f"{OTHERWISE[reason]} It was: {cause.detail}"
    if reason is Reason.GOAL_MET and isinstance(cause.fact, facts.GoalReached):
        return f"Event {cause.fact.id} of {cause.fact.source} reached the goal. {OTHERWISE[reason]}"
    if reason is Reason.DEDUPLICATED:
        return deduplicated(cause)
    if reason is Reason.RECEIPT_OUTAGE:
        return (
            f"Receipts of {cause.detail or 'the channel before'} would have to come in again, or"
            " `receipt_outage` be off."
        )
    if reason is Reason.UNKNOWN_OUTCOME:
        return unknown(cause)
    if reason in REFUSALS or reason in NOT_SENT or reason is Reason.FAILURE_RECEIPT:
        return provider_said(reason, cause)
    return OTHERWISE[reason]


def in_time(state: str, cause: Cause) -> str | None:
    """``delivered`` by when, counted from which hand-off."""
    run, step = cause.run, cause.step
    if run is None or step is None or run.handed_off_at is None:
        return None
    waits = dict(step.wait) or {"sent": cause.policy.default_wait_ms}
    if state not in waits:
        return None
    by = run.handed_off_at + waits[state]
    return (
        f"A receipt that proves `{state}` by {cause.place.words(by)}, {duration(waits[state])}"
        f" after the hand-off, would have kept the message on {run.channel}."
    )


def too_expensive(cause: Cause) -> str | None:
    step, fact = cause.step, cause.fact
    if step is None or step.max_cost is None or not isinstance(fact, facts.Prepared):
        return None
    if fact.cost is None:
        return (
            f"{fact.provider} has no price, so it counts as dearer than the `max_cost` of"
            f" {step.max_cost}."
        )
    over = format(Decimal(fact.cost) - Decimal(step.max_cost), "f")
    currency = cause.message.currency
    return (
        f"At {money(fact.cost, currency)} it was {money(over, currency)} dearer than `max_cost`"
        f" ({step.max_cost}): that much cheaper, or a higher `max_cost`, would have let it leave."
    )


def deduplicated(cause: Cause) -> str:
    dedupe = cause.policy.dedupe
    window = (
        f" (`window: {duration(dedupe.window_ms)}`, `key: {dedupe.key}`)"
        if dedupe is not None
        else ""
    )
    return f"Message {cause.detail} has the same key{window}. {OTHERWISE[Reason.DEDUPLICATED]}"


def unknown(cause: Cause) -> str:
    doubtful = [a for a in cause.attempts if a.outcome is OutcomeKind.UNKNOWN]
    if not doubtful:
        return OTHERWISE[Reason.UNKNOWN_OUTCOME]
    last = doubtful[-1]
    why = f" ({last.reason})" if last.reason is not None else ""
    return (
        f"Any receipt for {attempt_named(last.number, cause.message)} would have settled it: its"
        f" outcome was unknown{why}."
    )


def provider_said(reason: Reason, cause: Cause) -> str:
    last = next((a for a in reversed(cause.attempts) if a.reason is not None), None)
    if last is None:
        return OTHERWISE[reason]
    code = f", code {last.code}" if last.code else ""
    detail = f", “{last.detail}”" if last.detail else ""
    return f"{OTHERWISE[reason]} {last.provider} said {last.reason}{code}{detail}."
