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
from orchestrator.core.cascade.builder import Draft
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
from orchestrator.core.effects import Effect, Tell
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
    draft = Draft(policy, message.copy(), inputs if callable(inputs) else lambda: inputs, now)
    apply(draft, fact)
    progress(draft)
    draft.message.due_at = wake_at(draft)
    return Decision(
        draft.message, tuple(draft.effects), tuple(draft.checks), tuple(draft.said), draft.looked_at
    )


def apply(draft: Draft, fact: Fact) -> None:
    """What the fact itself says; what comes of it is ``progress``'s."""
    message = draft.message
    match fact:
        case facts.Triggered():
            trigger(draft)
        case facts.Due():
            if fact.due_at != message.due_at:
                draft.say("void: another time was asked for since")
            else:
                presume_dead(draft)
        case facts.Prepared() | facts.Unpreparable() | facts.Shut():
            on_step(draft, fact)
        case facts.Answered():
            answered(draft, message.attempts[fact.attempt], fact.outcome)
        case facts.Heard():
            heard(draft, message.attempts[fact.attempt], fact)
        case facts.GoalReached():
            if not message.terminal:
                draft.finish(Status.CANCELLED, Reason.GOAL_MET, f"{fact.source} {fact.id}")
        case facts.Cancelled():
            if message.terminal:
                stop_companions(draft, fact.reason)
            else:
                draft.finish(Status.CANCELLED, fact.reason)


def stop_companions(draft: Draft, reason: Reason) -> None:
    """The cascade has ended; what still waits beside it is not sent any more either."""
    for run in draft.message.runs:
        if run.companion and not run.over and run.sending in (Sending.HELD, Sending.READY):
            draft.leave(run, reason)


def trigger(draft: Draft) -> None:
    """
    A new message: settle what can be settled at once, then lay out its cascade and start its
    companions.
    """
    message = draft.message
    draft.effects.append(Tell("message.accepted"))
    if draft.inputs.duplicate_of is not None:
        draft.finish(Status.SUPPRESSED, Reason.DEDUPLICATED, draft.inputs.duplicate_of)
    elif draft.now >= message.deadline_at:
        draft.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
    elif draft.inputs.goal_reached:
        draft.finish(Status.CANCELLED, Reason.GOAL_MET)
    else:
        message.sequence = sequence(draft)
        first = len(draft.policy.cascade)
        for step in range(first, first + len(draft.policy.also)):
            run = Run(step, draft.policy.plan[step].channel, companion=True)
            message.runs.append(run)
            seek(draft, run)


def sequence(draft: Draft) -> tuple[int, ...]:
    """
    The order of the cascade's steps: as written, or the cheapest first with unknown costs last.
    """
    steps = range(len(draft.policy.cascade))
    if draft.policy.order != "cheapest":
        return tuple(steps)

    def cost(step: int) -> float:
        providers = draft.scene(Run(step, draft.policy.cascade[step].channel)).providers
        return min((price(provider.cost) for provider in providers), default=float("inf"))

    return tuple(sorted(steps, key=cost))


def on_step(draft: Draft, fact: facts.Prepared | facts.Unpreparable | facts.Shut) -> None:
    """Something about a step in the backlog; void where the step is not there any more."""
    run = draft.message.run_of(fact.step)
    if run is None or run.over or run.sending is not Sending.READY:
        draft.say("void: the step is not ready any more")
        return
    match fact:
        case facts.Prepared():
            depart(draft, run, fact)
        case facts.Unpreparable():
            give_up(draft, run, fact.reason, fact.detail)
        case facts.Shut():
            shut(draft, run, fact)


def presume_dead(draft: Draft) -> None:
    """
    An intent whose answer is long overdue belongs to a process that died: what became of it is
    unknown.
    """
    for attempt in draft.message.attempts:
        if (
            attempt.outcome is OutcomeKind.PENDING
            and draft.now >= attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS
        ):
            answered(draft, attempt, Unknown(Reason.PROCESS_DIED))


def progress(draft: Draft) -> None:
    """Move the cascade as far as it goes without another fact."""
    message = draft.message
    for run in message.runs:
        if run.companion and not run.over:
            wake(draft, run)
    for _ in range(2 * len(draft.policy.cascade) + 2):
        if message.terminal:
            return
        run_now = message.current
        if run_now is not None:
            examine(draft, run_now)
            if message.terminal or not run_now.over:
                if not message.terminal and not expire(draft, run_now):
                    wake(draft, run_now)
                if message.terminal or not run_now.over:
                    return
        enter_next(draft)


def wake(draft: Draft, run: Run) -> None:
    """Ask again about a run whose hold is over."""
    if (
        run.sending is Sending.HELD
        and run.until is not None
        and draft.now >= run.until
        and draft.now < draft.message.deadline_at
    ):
        if run.handed_off_at is not None and not candidates(draft, run):
            run.sending = Sending.IDLE
        else:
            seek(draft, run)


def expire(draft: Draft, run: Run) -> bool:
    """
    End the message at its deadline; an open intent is answered first, because it left in time.
    """
    if draft.now < draft.message.deadline_at or run.sending is Sending.OPEN:
        return False
    reason = (
        run.held_for if run.sending is Sending.HELD and run.held_for else Reason.DEADLINE_PASSED
    )
    draft.finish(Status.EXPIRED, reason, run.rule)
    return True


def enter_next(draft: Draft) -> None:
    """Start the next step of the sequence, or end the message where there is none."""
    message = draft.message
    before = next((run for run in reversed(message.runs) if not run.companion), None)
    if draft.now >= message.deadline_at:
        draft.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
        return
    message.position += 1
    if message.position >= len(message.sequence):
        message.position = len(message.sequence) - 1
        ended = before.ended if before is not None else Reason.NO_ADDRESS
        status = Status.EXHAUSTED if draft.attempted() else Status.SUPPRESSED
        draft.finish(status, ended, before.rule if before is not None else "")
        return
    step = message.sequence[message.position]
    run = Run(step, draft.policy.plan[step].channel)
    message.runs.append(run)
    if before is not None and holds_for_outage(draft, before, run):
        draft.hold(run, draft.now + OUTAGE_LOOK_MS, Reason.RECEIPT_OUTAGE, before.channel)
    else:
        seek(draft, run)


def holds_for_outage(draft: Draft, before: Run, run: Run) -> bool:
    """
    Silence of a channel whose receipts have collapsed proves nothing, so it does not open a paid
    channel.
    """
    silent = before.ended in (Reason.NOT_SENT_IN_TIME, Reason.NOT_DELIVERED_IN_TIME)
    if not silent or before.channel not in draft.inputs.outages:
        return False
    return any(price(provider.cost) > 0 for provider in draft.scene(run).providers)


def wake_at(draft: Draft) -> Instant | None:
    """
    The next instant at which this message must be looked at, None where nothing can come but
    receipts.
    """
    message = draft.message
    # an overdue answer is looked for at once: another fact may have come before its timer fired
    instants = [
        max(draft.now + 1, attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS)
        for attempt in message.attempts
        if attempt.outcome is OutcomeKind.PENDING
    ]
    live = [run for run in message.runs if not run.over and (run.companion or not message.terminal)]
    for run in live:
        if run.sending is Sending.HELD and run.until is not None:
            instants.append(run.until)
        if not run.companion and (look := next_look(draft, run)) is not None:
            instants.append(look)
    if any(run.sending in (Sending.HELD, Sending.READY) for run in live) or not message.terminal:
        instants.append(message.deadline_at)
    future = [instant for instant in instants if instant > draft.now]
    late_deadline = not message.terminal and message.deadline_at <= draft.now
    if late_deadline and not future:
        return draft.now + 1
    return min(future, default=None)


__all__ = ["Decision", "choose", "decide"]
