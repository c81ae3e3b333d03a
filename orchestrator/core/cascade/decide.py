"""
Fact in, decision out: everything about *what should happen* is here and in the two halves it calls.

    decide ─► on the fact   Triggered, Due, Prepared, …      (this file)
           ─► progress      examine what waits, start what comes next
           ─► wake          when to look again

The same message, inputs, fact and time always give the same decision, which is what lets a history
be replayed, a policy be tested and a change be simulated.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core import facts
from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.cascade.sending import (
    answered,
    candidates,
    choose,
    depart,
    give_up,
    seek,
    shut,
)
from orchestrator.core.cascade.waiting import examine, heard, next_look
from orchestrator.core.effects import Effect, EmitStatus
from orchestrator.core.facts import Fact
from orchestrator.core.gates import Check, price
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message, Run, Sending, Status
from orchestrator.core.outcomes import OutcomeKind, Unknown
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Value

ANSWER_GRACE_MS = 5_000
"""
How long after a provider's timeout an answer is still waited for before its process counts as dead.
"""

OUTAGE_LOOK_MS = 60_000


class Decision(Value):
    """
    The new state, what the shell must do, every check that was made, and the decision in words.
    ``inputs`` are those it rests on, None where it looked at none.
    """

    message: Message
    effects: tuple[Effect, ...]
    checks: tuple[Check, ...]
    said: tuple[str, ...]
    inputs: Inputs | None = None


def decide(
    policy: Policy,
    message: Message,
    inputs: Inputs | Callable[[], Inputs],
    fact: Fact,
    now: Instant,
) -> Decision:
    """
    What follows from one fact.

    ``inputs`` may be a function that gathers them: most answers and receipts are decided without
    any. ``message`` is not changed. ``now`` is UTC milliseconds; a clock that went backwards does
    no harm, because every comparison is with instants that the message itself carries.
    """
    builder = DecisionBuilder(
        policy, message.copy(), inputs if callable(inputs) else lambda: inputs, now
    )
    apply(builder, fact)
    progress(builder)
    builder.message.due_at = wake_at(builder)
    return Decision(
        builder.message,
        tuple(builder.effects),
        tuple(builder.checks),
        tuple(builder.said),
        builder.looked_at,
    )


def apply(builder: DecisionBuilder, fact: Fact) -> None:
    """What the fact itself says; what comes of it is ``progress``'s."""
    message = builder.message
    match fact:
        case facts.Triggered():
            trigger(builder)
        case facts.Due():
            if fact.due_at != message.due_at:
                builder.say("void: another time was asked for since")
            else:
                presume_dead(builder)
        case facts.Prepared() | facts.Unpreparable() | facts.Shut():
            on_step(builder, fact)
        case facts.Answered():
            answered(builder, message.attempts[fact.attempt], fact.outcome)
        case facts.ReceiptReceived():
            heard(builder, message.attempts[fact.attempt], fact)
        case facts.GoalReached():
            if not message.terminal:
                builder.finish(Status.CANCELLED, Reason.GOAL_MET, f"{fact.source} {fact.id}")
        case facts.Cancelled():
            if message.terminal:
                stop_companions(builder, fact.reason)
            else:
                builder.finish(Status.CANCELLED, fact.reason)


def stop_companions(builder: DecisionBuilder, reason: Reason) -> None:
    """The cascade has ended; what still waits beside it is not sent any more either."""
    for run in builder.message.runs:
        if run.companion and not run.over and run.sending in (Sending.HELD, Sending.READY):
            builder.leave(run, reason)


def trigger(builder: DecisionBuilder) -> None:
    """
    A new message: settle what can be settled at once, then lay out its cascade and start its
    companions.
    """
    message = builder.message
    builder.effects.append(EmitStatus("message.accepted"))
    if builder.inputs.duplicate_of is not None:
        builder.finish(Status.SUPPRESSED, Reason.DEDUPLICATED, builder.inputs.duplicate_of)
    elif builder.now >= message.deadline_at:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
    elif builder.inputs.goal_reached:
        builder.finish(Status.CANCELLED, Reason.GOAL_MET)
    else:
        message.sequence = sequence(builder)
        first = len(builder.policy.cascade)
        for step in range(first, first + len(builder.policy.also)):
            run = Run(step, builder.policy.plan[step].channel, companion=True)
            message.runs.append(run)
            seek(builder, run)


def sequence(builder: DecisionBuilder) -> tuple[int, ...]:
    """
    The order of the cascade's steps: as written, or the cheapest first with unknown costs last.
    """
    steps = range(len(builder.policy.cascade))
    if builder.policy.order != "cheapest":
        return tuple(steps)

    def cost(step: int) -> float:
        providers = builder.context(Run(step, builder.policy.cascade[step].channel)).providers
        return min((price(provider.cost) for provider in providers), default=float("inf"))

    return tuple(sorted(steps, key=cost))


def on_step(
    builder: DecisionBuilder, fact: facts.Prepared | facts.Unpreparable | facts.Shut
) -> None:
    """Something about a step in the backlog; void where the step is not there any more."""
    run = builder.message.run_of(fact.step)
    if run is None or run.over or run.sending is not Sending.READY:
        builder.say("void: the step is not ready any more")
        return
    match fact:
        case facts.Prepared():
            depart(builder, run, fact)
        case facts.Unpreparable():
            give_up(builder, run, fact.reason, fact.detail)
        case facts.Shut():
            shut(builder, run, fact)


def presume_dead(builder: DecisionBuilder) -> None:
    """
    An intent whose answer is long overdue belongs to a process that died: what became of it is
    unknown.
    """
    for attempt in builder.message.attempts:
        if (
            attempt.outcome is OutcomeKind.PENDING
            and builder.now >= attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS
        ):
            answered(builder, attempt, Unknown(Reason.PROCESS_DIED))


def progress(builder: DecisionBuilder) -> None:
    """Move the cascade as far as it goes without another fact."""
    message = builder.message
    for run in message.runs:
        if run.companion and not run.over:
            wake(builder, run)
    for _ in range(2 * len(builder.policy.cascade) + 2):
        if message.terminal:
            return
        run_now = message.current
        if run_now is not None:
            examine(builder, run_now)
            if message.terminal or not run_now.over:
                if not message.terminal and not expire(builder, run_now):
                    wake(builder, run_now)
                if message.terminal or not run_now.over:
                    return
        enter_next(builder)


def wake(builder: DecisionBuilder, run: Run) -> None:
    """Ask again about a run whose hold is over."""
    if (
        run.sending is Sending.HELD
        and run.until is not None
        and builder.now >= run.until
        and builder.now < builder.message.deadline_at
    ):
        if run.handed_off_at is not None and not candidates(builder, run):
            run.sending = Sending.IDLE
        else:
            seek(builder, run)


def expire(builder: DecisionBuilder, run: Run) -> bool:
    """
    End the message at its deadline; an open intent is answered first, because it left in time.
    """
    if builder.now < builder.message.deadline_at or run.sending is Sending.OPEN:
        return False
    reason = (
        run.held_for if run.sending is Sending.HELD and run.held_for else Reason.DEADLINE_PASSED
    )
    builder.finish(Status.EXPIRED, reason, run.rule)
    return True


def enter_next(builder: DecisionBuilder) -> None:
    """Start the next step of the sequence, or end the message where there is none."""
    message = builder.message
    before = next((run for run in reversed(message.runs) if not run.companion), None)
    if builder.now >= message.deadline_at:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
        return
    message.position += 1
    if message.position >= len(message.sequence):
        message.position = len(message.sequence) - 1
        ended = before.ended if before is not None else Reason.NO_ADDRESS
        status = Status.EXHAUSTED if builder.attempted() else Status.SUPPRESSED
        builder.finish(status, ended, before.rule if before is not None else "")
        return
    step = message.sequence[message.position]
    run = Run(step, builder.policy.plan[step].channel)
    message.runs.append(run)
    if before is not None and holds_for_outage(builder, before, run):
        builder.hold(run, builder.now + OUTAGE_LOOK_MS, Reason.RECEIPT_OUTAGE, before.channel)
    else:
        seek(builder, run)


def holds_for_outage(builder: DecisionBuilder, before: Run, run: Run) -> bool:
    """
    Silence of a channel whose receipts have collapsed proves nothing, so it does not open a paid
    channel.
    """
    silent = before.ended in (Reason.NOT_SENT_IN_TIME, Reason.NOT_DELIVERED_IN_TIME)
    if not silent or before.channel not in builder.inputs.outages:
        return False
    return any(price(provider.cost) > 0 for provider in builder.context(run).providers)


def wake_at(builder: DecisionBuilder) -> Instant | None:
    """
    The next instant at which this message must be looked at, None where nothing can come but
    receipts.
    """
    message = builder.message
    # an overdue answer is looked for at once: another fact may have come before its timer fired
    instants = [
        max(builder.now + 1, attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS)
        for attempt in message.attempts
        if attempt.outcome is OutcomeKind.PENDING
    ]
    live = [run for run in message.runs if not run.over and (run.companion or not message.terminal)]
    for run in live:
        if run.sending is Sending.HELD and run.until is not None:
            instants.append(run.until)
        if not run.companion and (look := next_look(builder, run)) is not None:
            instants.append(look)
    if any(run.sending in (Sending.HELD, Sending.READY) for run in live) or not message.terminal:
        instants.append(message.deadline_at)
    future = [instant for instant in instants if instant > builder.now]
    late_deadline = not message.terminal and message.deadline_at <= builder.now
    if late_deadline and not future:
        return builder.now + 1
    return min(future, default=None)


__all__ = ["Decision", "choose", "decide"]
