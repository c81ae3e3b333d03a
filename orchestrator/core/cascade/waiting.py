"""
The waiting half of a step: from hand-off until its states are reached, its time is up, or a receipt
reports a failure.

``examine`` runs after every fact. It looks only at the message and the clock, so the order and
number of facts do not matter. ``apply_receipt`` merges one receipt.
"""

from __future__ import annotations

from orchestrator.core.cascade.answers import blame
from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.effects import EmitStatus
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.message import (
    DUPLICATE_DELIVERY,
    LATE,
    UNCONFIRMED,
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
    merge_engagement,
    reached,
)

ENGAGED = frozenset(word.value for word in Engagement)
IN_TIME = {
    "sent": Reason.NOT_SENT_IN_TIME,
    "delivered": Reason.NOT_DELIVERED_IN_TIME,
    "read": Reason.NOT_READ_IN_TIME,
    "clicked": Reason.NOT_CLICKED_IN_TIME,
    "replied": Reason.NOT_REPLIED_IN_TIME,
}


def examine(builder: DecisionBuilder, run: Run) -> None:
    """See if a handed-off step of the cascade has succeeded, failed, or run out of time."""
    taken = [attempt for attempt in builder.message.attempts_of(run.step) if attempt.took]
    if run.handed_off_at is None or not taken:
        return
    waits = builder.step_of(run).wait
    states = builder.states_of(taken)
    unknown = all(attempt.outcome is OutcomeKind.UNKNOWN for attempt in taken)
    enough = all(state in states for state, _ in waits)
    if not waits:
        enough = not unknown and not on_its_way(run)
    if run.sending is Sending.IDLE and failed(taken):
        builder.leave(run, Reason.FAILURE_RECEIPT, taken[-1].code or "")
    elif enough:
        builder.succeed(run.channel)
    elif (missed := overdue(builder, run, states)) is not None:
        builder.leave(run, Reason.UNKNOWN_OUTCOME if unknown else missed)


def on_its_way(run: Run) -> bool:
    """Whether it is being sent to further devices at this moment."""
    return run.sending in (Sending.READY, Sending.OPEN)


def failed(taken: list[Attempt]) -> bool:
    """Whether receipts report a failure for every attempt that a provider has taken."""
    return all(attempt.state in FAILURES and not attempt.engagement for attempt in taken)


def limits(builder: DecisionBuilder, run: Run) -> list[tuple[str, Instant]]:
    """The time limit of each state; a step without waits is only left if it stays unknown."""
    since = run.handed_off_at or 0
    waits = builder.step_of(run).wait or (("sent", builder.policy.default_wait_ms),)
    return [(state, since + wait_ms) for state, wait_ms in waits]


def overdue(builder: DecisionBuilder, run: Run, states: frozenset[str]) -> Reason | None:
    """The reason for the first state that is missing past its time."""
    late = [
        (at, state)
        for state, at in limits(builder, run)
        if state not in states and builder.now >= at
    ]
    return IN_TIME[min(late)[1]] if late else None


def next_look(builder: DecisionBuilder, run: Run) -> Instant | None:
    """The next instant at which ``examine`` may decide something new without a fact."""
    if run.handed_off_at is None or run.over:
        return None
    taken = [attempt for attempt in builder.message.attempts_of(run.step) if attempt.took]
    states = builder.states_of(taken)
    return min((at for state, at in limits(builder, run) if state not in states), default=None)


def apply_receipt(builder: DecisionBuilder, attempt: Attempt, fact: ReceiptReceived) -> None:
    """Merge one receipt into its attempt; it may close, correct or flag the message."""
    message = builder.message
    before = reached(attempt.state, attempt.engagement)
    attempt.provider_id = attempt.provider_id or fact.provider_id
    if fact.reply is not None:
        attempt.replies += 1
        attempt.choice = fact.reply.choice or attempt.choice
        meaning = f": {fact.reply.choice}" if fact.reply.choice is not None else ""
        builder.say(f"answer to attempt {attempt.number}{meaning}")
    if not merge(builder, attempt, fact):
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
    flag_duplicate(builder)
    positive = bool(reached(attempt.state, attempt.engagement) - before - {"sent"})
    if positive and (run.over or message.terminal):
        close_late(builder, run)
    elif attempt.state in FAILURES and message.status is Status.SUCCEEDED:
        correct_success(builder, run)


def merge(builder: DecisionBuilder, attempt: Attempt, fact: ReceiptReceived) -> bool:
    """Merge the reported state; False if it is nothing new."""
    if fact.state in ENGAGED:
        new = fact.state not in attempt.engagement
        attempt.engagement = merge_engagement(attempt.engagement, fact.state, fact.at)
        builder.move_delivery(attempt, Delivery.DELIVERED)
    else:
        new = builder.move_delivery(attempt, Delivery(fact.state))
    attempt.times[fact.state] = min(fact.at, attempt.times.get(fact.state, fact.at))
    attempt.arrivals.setdefault(fact.state, builder.now)  # waits run on our clock, whatever it says
    if new:
        builder.effects.append(EmitStatus(f"attempt.{fact.state}", attempt.number))
        builder.say(f"attempt {attempt.number} ({attempt.channel}) {fact.state}")
    return new


def flag_duplicate(builder: DecisionBuilder) -> None:
    """Flag a message that reached its recipient on two channels of its cascade."""
    delivered = {
        attempt.channel
        for attempt in builder.message.cascade_attempts()
        if attempt.state is Delivery.DELIVERED
    }
    if len(delivered) > 1:
        builder.flag(DUPLICATE_DELIVERY)


def close_late(builder: DecisionBuilder, run: Run) -> None:
    """A step that was left behind has reached the recipient after all: the policy's `late`."""
    message = builder.message
    if builder.policy.late != "close":
        return
    if message.status in (Status.EXHAUSTED, Status.EXPIRED):
        message.succeeded_by = run.channel
        message.reached_at = builder.now
        message.reason = None
        message.reason_detail = ""
        if UNCONFIRMED in message.flags:
            message.flags.remove(UNCONFIRMED)
        builder.flag(LATE)
        builder.move_status(Status.SUCCEEDED)
        builder.say(f"succeeded late by {run.channel}")
    elif not message.terminal:
        builder.flag(LATE)
        builder.succeed(run.channel)


def correct_success(builder: DecisionBuilder, run: Run) -> None:
    """
    A failure after a success that rested on acceptance alone: the success stands, with the flag
    UNDELIVERED, and is emitted again.
    """
    message = builder.message
    taken = [attempt for attempt in message.attempts_of(run.step) if attempt.took]
    if (
        all(attempt.state in FAILURES for attempt in taken)
        and message.succeeded_by == run.channel
        and not builder.step_of(run).wait
        and builder.flag(UNDELIVERED)
    ):
        builder.effects.append(EmitStatus(f"message.{message.status}"))
