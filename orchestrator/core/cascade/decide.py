"""
Fact in, decision out.

    decide ─► apply      what the fact itself says       Triggered, Due, Prepared, …
           ─► progress   examine what waits, start what comes next
           ─► wake_at    when to look again

The same message, inputs, fact and time always give the same decision. So a history can be replayed,
a policy tested and a change simulated.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core import facts
from orchestrator.core.cascade.answers import answered
from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.cascade.sending import (
    PROVIDER_PAUSES,
    candidates,
    depart,
    give_up,
    seek,
    seek_after_hold,
    shut,
    shut_now,
    take_turn,
)
from orchestrator.core.cascade.starting import join, sequence, wait_for_hour
from orchestrator.core.cascade.waiting import apply_receipt, examine, limits, next_look
from orchestrator.core.effects import Effect, EmitStatus
from orchestrator.core.facts import Fact
from orchestrator.core.gates import Check, price
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message, Run, Sending, Status
from orchestrator.core.outcomes import OutcomeKind, Unknown
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import ADDRESS_UNUSABLE, NOT_APPLICABLE, RECIPIENTS_NO, Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Value

ANSWER_GRACE_MS = 5_000
"""An answer this long after its provider's timeout is lost: its process counts as dead."""

OUTAGE_LOOK_MS = 60_000
OUTAGE_LOOK_MAX_MS = 900_000
OUTAGE_LOOK_SHARE = 4
"""
A step that is held for a receipt outage is asked again after a minute, then after a quarter of the
time that the silence has lasted, at most a quarter of an hour: each time is a line of history.
"""


class Decision(Value):
    """
    The new state, the effects for the shell, every check that was made, and the decision in words.
    ``inputs`` are those it rests on, None if it looked at none.
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
    Decide what follows from one fact.

    ``inputs`` may be a function that gathers them: most answers and receipts are decided without
    any. ``message`` is not changed. ``now`` is UTC milliseconds; a clock that went backwards does
    no harm, because it is only compared with instants that the message itself carries.
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
    """Apply the fact itself; ``progress`` then draws the consequences."""
    message = builder.message
    match fact:
        case facts.Triggered():
            message.retry_of = fact.retry_of
            message.joined, message.left_out = fact.joined, fact.left_out
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
            apply_receipt(builder, message.attempts[fact.attempt], fact)
        case facts.GoalReached() | facts.Converted():
            reach_goal(builder, fact)
        case facts.Cancelled():
            if message.terminal:
                stop_companions(builder, fact.reason)
            else:
                builder.finish(Status.CANCELLED, fact.reason)
        case facts.Retried():
            message.retried_as = fact.message
            builder.say(f"started again as message {fact.message}")
        case facts.RulesChanged():
            ask_all_again(builder)
        case facts.Joined():
            join(builder, fact)


def reach_goal(builder: DecisionBuilder, fact: facts.GoalReached | facts.Converted) -> None:
    """End a message that has become pointless, or note that one has led to what it was for."""
    message = builder.message
    if isinstance(fact, facts.GoalReached):
        if not message.terminal:
            builder.finish(Status.CANCELLED, Reason.GOAL_MET, f"{fact.source} {fact.id}")
    elif message.converted_at is None:
        message.converted_at = fact.at
        builder.say(f"converted by {fact.source} {fact.id}")


RULES = (
    Reason.QUIET_HOURS,
    Reason.FREQUENCY_CAP,
    Reason.MIN_GAP,
    Reason.OVER_BUDGET,
    Reason.PAUSED,
)
"""Reasons of gates that hold a step: another configuration may let it pass."""


def ask_all_again(builder: DecisionBuilder) -> None:
    for run in builder.message.runs:
        if not run.over and run.sending is Sending.HELD:
            ask_again(builder, run)


def ask_again(builder: DecisionBuilder, run: Run) -> None:
    """Let ``wake`` ask about a held step now, if the configuration may have freed it."""
    reason = run.held_for
    free = reason in RULES
    if reason is Reason.RECEIPT_OUTAGE:
        earlier = [one for one in builder.message.runs if not one.companion and one is not run]
        free = not earlier or not holds_for_outage(builder, earlier[-1], run)
    elif reason in PROVIDER_PAUSES:
        open_now = [p for p in candidates(builder, run) if not shut_now(builder, p)]
        if reason is Reason.THROTTLED:
            # its own pause goes on, but a provider that has been added need not wait for it
            open_now = [provider for provider in open_now if provider.name != run.provider]
            if open_now:
                take_turn(builder, run, open_now[0])
            return
        free = bool(open_now)
    if free:
        run.until = builder.now


def stop_companions(builder: DecisionBuilder, reason: Reason) -> None:
    """Cancel the unsent companions of a message whose cascade has already ended."""
    for run in builder.message.runs:
        if run.companion and not run.over and run.sending in (Sending.HELD, Sending.READY):
            builder.leave(run, reason)


def trigger(builder: DecisionBuilder) -> None:
    """End a new message that is pointless; ``progress`` starts any other, at its time."""
    message = builder.message
    builder.effects.append(EmitStatus("message.accepted"))
    if message.hops > HOPS_MAX:
        builder.finish(Status.SUPPRESSED, Reason.TOO_MANY_HOPS)
    elif builder.inputs.duplicate_of is not None:
        builder.finish(Status.SUPPRESSED, Reason.DEDUPLICATED, builder.inputs.duplicate_of)
    elif builder.now >= message.deadline_at:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
    elif builder.inputs.goal_reached:
        builder.finish(Status.CANCELLED, Reason.GOAL_MET)
    elif builder.policy.held_out:
        builder.finish(Status.SUPPRESSED, Reason.HELD_OUT, builder.policy.arm)
    elif builder.inputs.empty_pool:
        builder.finish(Status.SUPPRESSED, Reason.NO_CODE, builder.inputs.empty_pool)
    elif message.is_scheduled(builder.now):
        builder.say(f"scheduled: starts at {message.starts_at}")


def begin(builder: DecisionBuilder) -> None:
    """Lay out the cascade and start the companions; a start that came too late ends the message."""
    message = builder.message
    if builder.now >= message.deadline_at:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
        return
    send_at = builder.policy.send_at
    if send_at is not None and message.send_at is None and not message.only_channel:
        wait_for_hour(builder, send_at)
        if message.terminal or message.is_scheduled(builder.now):
            return
    message.sequence = sequence(builder)
    first = len(builder.policy.cascade)
    companions = 0 if message.only_channel else len(builder.policy.also)
    for step in range(first, first + companions):
        seek(builder, builder.start(step, companion=True))


def on_step(
    builder: DecisionBuilder, fact: facts.Prepared | facts.Unpreparable | facts.Shut
) -> None:
    """Apply a fact about a step in the backlog; void if the step has left it since."""
    run = builder.message.run_of(fact.step)
    if run is None or run.over or run.sending is not Sending.READY:
        builder.say("void: the step is not ready any more")
    elif isinstance(fact, facts.Unpreparable):
        give_up(builder, run, fact.reason, fact.detail)
    elif run.provider != fact.provider:
        builder.say("void: it is another provider's turn")
    elif isinstance(fact, facts.Prepared):
        depart(builder, run, fact)
    else:
        shut(builder, run, fact)


def presume_dead(builder: DecisionBuilder) -> None:
    """Answer overdue intents with UNKNOWN: their process died, and they may have been sent."""
    for attempt in builder.message.attempts:
        overdue_at = attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS
        if attempt.outcome is OutcomeKind.PENDING and builder.now >= overdue_at:
            answered(builder, attempt, Unknown(Reason.PROCESS_DIED))


def progress(builder: DecisionBuilder) -> None:
    """Move the message as far as it goes without another fact."""
    message = builder.message
    if message.is_scheduled(builder.now):
        return
    if not message.terminal and not message.sequence:
        begin(builder)
        if message.is_scheduled(builder.now):
            return
    for run in message.runs:
        if run.companion and not run.over:
            wake(builder, run)
    while not message.terminal:  # each round stays at a step, leaves it, or enters the next one
        current = message.current
        if current is None:
            enter_next(builder)
            continue
        examine(builder, current)
        if not current.over and not expire(builder, current):
            wake(builder, current)
        if not current.over:
            return


def wake(builder: DecisionBuilder, run: Run) -> None:
    """Ask again about a run whose hold is over."""
    if run.sending is not Sending.HELD or run.until is None or builder.now < run.until:
        return
    if builder.now >= builder.message.deadline_at:  # a companion; the cascade is expired by now
        return
    if run.handed_off_at is not None and not candidates(builder, run):
        builder.move_sending(run, Sending.IDLE)
    elif run.held_for is Reason.RECEIPT_OUTAGE:
        seek_after_silence(builder, run)
    else:
        seek_after_hold(builder, run)


def expire(builder: DecisionBuilder, run: Run) -> bool:
    """End the message at its deadline; an open intent is answered first: it left in time."""
    if builder.now < builder.message.deadline_at or run.sending is Sending.OPEN:
        return False
    held_for = run.held_for if run.sending is Sending.HELD else None
    builder.finish(Status.EXPIRED, held_for or Reason.DEADLINE_PASSED, run.rule)
    return True


def enter_next(builder: DecisionBuilder) -> None:
    """Start the next step of the sequence, or end the message if there is none."""
    message = builder.message
    if builder.now >= message.deadline_at:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED)
        return
    if message.position + 1 >= len(message.sequence):
        ended, rule = decisive_end(message)
        builder.finish(builder.failed_status(), ended, rule)
        return
    message.position += 1
    run = builder.start(message.sequence[message.position])
    seek_after_silence(builder, run)


def decisive_end(message: Message) -> tuple[Reason, str]:
    """
    Why no step of the cascade reached the recipient: the reason of the last step that applied. If
    that one only lacked an address that may be used, an earlier "no" of the recipient decides.
    """
    ends = [(run.ended, run.rule) for run in message.runs if not run.companion and run.ended]
    if not ends:
        return Reason.NO_ADDRESS, ""
    applied = [end for end in ends if end[0] not in NOT_APPLICABLE] or ends
    said_no = [end for end in applied if end[0] in RECIPIENTS_NO]
    return said_no[-1] if said_no and applied[-1][0] in ADDRESS_UNUSABLE else applied[-1]


def seek_after_silence(builder: DecisionBuilder, run: Run) -> None:
    """Seek a provider, but hold for as long as the silence before may be a receipt outage."""
    earlier = [one for one in builder.message.runs if not one.companion and one is not run]
    if earlier and holds_for_outage(builder, earlier[-1], run):
        silent_ms = builder.now - max(at for _, at in limits(builder, earlier[-1]))
        pause_ms = max(OUTAGE_LOOK_MS, min(OUTAGE_LOOK_MAX_MS, silent_ms // OUTAGE_LOOK_SHARE))
        until = builder.now + pause_ms
        builder.hold(run, until, Reason.RECEIPT_OUTAGE, earlier[-1].channel)
    else:
        seek(builder, run)


def holds_for_outage(builder: DecisionBuilder, before: Run, run: Run) -> bool:
    """
    Whether a paid step must wait: the silence of a channel whose receipts have collapsed proves
    nothing.
    """
    silent = before.ended in (Reason.NOT_SENT_IN_TIME, Reason.NOT_DELIVERED_IN_TIME)
    if not silent or before.channel not in builder.inputs.outages:
        return False
    return any(price(provider.cost) > 0 for provider in builder.context(run.step).providers)


def wake_at(builder: DecisionBuilder) -> Instant | None:
    """The next time to look at this message; None if only receipts can still come."""
    message, now = builder.message, builder.now
    # an overdue answer is looked for at once: another fact may have come before its timer fired
    instants = [
        max(now + 1, attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS)
        for attempt in message.attempts
        if attempt.outcome is OutcomeKind.PENDING
    ]
    if message.is_scheduled(now):
        instants.append(message.starts_at)
    live = [run for run in message.runs if not run.over and (run.companion or not message.terminal)]
    for run in live:
        if run.sending is Sending.HELD and run.until is not None:
            instants.append(run.until)
        if not run.companion and (look := next_look(builder, run)) is not None:
            instants.append(look)
    if any(run.sending in (Sending.HELD, Sending.READY) for run in live) or not message.terminal:
        instants.append(message.deadline_at)
    future = [instant for instant in instants if instant > now]
    if not future and not message.terminal and message.deadline_at <= now:
        # second guard: past its deadline a message has an open intent, which is looked for later
        return now + 1
    return min(future, default=None)
