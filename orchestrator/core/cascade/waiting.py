"""
The waiting half of a step: from hand-off until its states are reached, its time is up, or a receipt
says that it failed.

``examine`` is asked after every fact; it looks only at the message and the clock, so it does not
matter which fact came first, nor how often. ``heard`` merges one receipt.
"""

from __future__ import annotations

from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.cascade.sending import blame
from orchestrator.core.effects import EmitStatus
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.message import (
    DUPLICATE_DELIVERY,
    LATE,
    UNDELIVERED,
    Attempt,
    Run,
    Sending,
    Status,
)
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.status import (
    FAILURES,
    Delivery,
    Engagement,
    merge_delivery,
    merge_engagement,
    reached,
)

IN_TIME = {
    "sent": Reason.NOT_SENT_IN_TIME,
    "delivered": Reason.NOT_DELIVERED_IN_TIME,
    "read": Reason.NOT_READ_IN_TIME,
    "clicked": Reason.NOT_CLICKED_IN_TIME,
    "replied": Reason.NOT_REPLIED_IN_TIME,
}


def examine(builder: DecisionBuilder, run: Run) -> None:
    """See whether a handed-off step of the cascade has succeeded, failed, or run out of time."""
    attempts = builder.message.attempts_of(run.step)
    taken = [attempt for attempt in attempts if attempt.took]
    if run.handed_off_at is None or not taken:
        return
    waits = builder.step_of(run).wait
    states = builder.states_of(taken)
    unknown = all(attempt.outcome is OutcomeKind.UNKNOWN for attempt in taken)
    pending = run.sending is not Sending.IDLE
    if not pending and all(
        attempt.state in FAILURES and not attempt.engagement for attempt in taken
    ):
        builder.leave(run, Reason.FAILURE_RECEIPT, taken[-1].code or "")
    elif (not waits and not unknown) or (waits and all(state in states for state, _ in waits)):
        builder.succeed(run.channel)
    elif (missed := overdue(builder, run, waits, states)) is not None:
        builder.leave(run, Reason.UNKNOWN_OUTCOME if unknown else missed)


def limits(
    builder: DecisionBuilder, run: Run, waits: tuple[tuple[str, int], ...]
) -> list[tuple[str, Instant]]:
    """
    When each state must be reached; a step without waits is only looked at where its outcome is
    unknown.
    """
    since = run.handed_off_at or 0
    if not waits:
        return [("sent", since + builder.policy.default_wait_ms)]
    return [(state, since + wait_ms) for state, wait_ms in waits]


def overdue(
    builder: DecisionBuilder, run: Run, waits: tuple[tuple[str, int], ...], states: frozenset[str]
) -> Reason | None:
    """The reason of the first state that is missing past its time."""
    late = [
        (at, state)
        for state, at in limits(builder, run, waits)
        if state not in states and builder.now >= at
    ]
    return IN_TIME[min(late)[1]] if late else None


def next_look(builder: DecisionBuilder, run: Run) -> Instant | None:
    """The next instant at which ``examine`` may say something new without a fact."""
    if run.handed_off_at is None or run.over:
        return None
    taken = [attempt for attempt in builder.message.attempts_of(run.step) if attempt.took]
    states = builder.states_of(taken)
    waits = builder.step_of(run).wait
    return min(
        (at for state, at in limits(builder, run, waits) if state not in states), default=None
    )


def heard(builder: DecisionBuilder, attempt: Attempt, fact: ReceiptReceived) -> None:
    """
    Merge one receipt into its attempt, and see whether it closes, corrects or flags the message.
    """
    message = builder.message
    before = reached(attempt.state, attempt.engagement)
    attempt.provider_id = attempt.provider_id or fact.provider_id
    news = merge(builder, attempt, fact)
    if not news:
        builder.say("nothing new")
        return
    run = message.run_of(attempt.step)
    if attempt.outcome is OutcomeKind.UNKNOWN:
        attempt.outcome = OutcomeKind.ACCEPTED
        attempt.answered_at = attempt.answered_at or builder.now
    if fact.failure is not None and attempt.state in FAILURES:
        attempt.reason = attempt.reason or fact.failure.reason
        attempt.code, attempt.detail = fact.failure.code, fact.failure.detail
        blame(builder, attempt, fact.failure)
    if run is None or run.companion:
        return
    count_deliveries(builder)
    positive = bool(reached(attempt.state, attempt.engagement) - before - {"sent"})
    if positive and (run.over or message.terminal):
        close_late(builder, run)
    elif attempt.state in FAILURES and message.status is Status.SUCCEEDED:
        undelivered(builder, run)


ENGAGED = frozenset(word.value for word in Engagement)


def merge(builder: DecisionBuilder, attempt: Attempt, fact: ReceiptReceived) -> bool:
    """Fold the state in; False where it says nothing new."""
    if fact.state in ENGAGED:
        merged = merge_engagement(attempt.engagement, fact.state, fact.at)
        new = fact.state not in attempt.engagement
        attempt.engagement = merged
        attempt.state = merge_delivery(attempt.state, Delivery.DELIVERED)
    else:
        state = merge_delivery(attempt.state, Delivery(fact.state))
        new = state is not attempt.state
        attempt.state = state
    attempt.times[fact.state] = min(fact.at, attempt.times.get(fact.state, fact.at))
    if new:
        builder.effects.append(EmitStatus(f"attempt.{fact.state}", attempt.number))
        builder.say(f"attempt {attempt.number} ({attempt.channel}) {fact.state}")
    return new


def count_deliveries(builder: DecisionBuilder) -> None:
    """Flag a message that reached its recipient on two channels of its cascade."""
    message = builder.message
    cascade = {run.step for run in message.runs if not run.companion}
    channels = {
        a.channel for a in message.attempts if a.step in cascade and a.state is Delivery.DELIVERED
    }
    if len(channels) > 1:
        builder.flag(DUPLICATE_DELIVERY)


def close_late(builder: DecisionBuilder, run: Run) -> None:
    """A step that was left behind has reached the person after all."""
    message = builder.message
    if builder.policy.late != "close":
        return
    if message.status in (Status.EXHAUSTED, Status.EXPIRED):
        message.succeeded_by = run.channel
        message.reason = None
        message.reason_detail = ""
        if "unconfirmed" in message.flags:
            message.flags.remove("unconfirmed")
        builder.flag(LATE)
        builder.move(Status.SUCCEEDED)
        builder.say(f"succeeded late by {run.channel}")
    elif not message.terminal:
        builder.flag(LATE)
        builder.succeed(run.channel)


def undelivered(builder: DecisionBuilder, run: Run) -> None:
    """
    A failure after a success that rested on acceptance alone: the success stands, and is told to be
    undelivered.
    """
    message = builder.message
    taken = [attempt for attempt in message.attempts_of(run.step) if attempt.took]
    failed = all(attempt.state in FAILURES for attempt in taken)
    if (
        failed
        and message.succeeded_by == run.channel
        and not builder.step_of(run).wait
        and builder.flag(UNDELIVERED)
    ):
        builder.effects.append(EmitStatus(f"message.{message.status}"))
