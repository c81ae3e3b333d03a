"""
Fact in, decision out, for a run of a journey.

    decide ─► apply      what the fact itself says     Entered, WaitOver, MessageEnded, …
           ─► go_on      carry out steps until one waits, or the last is done

The same journey, run, answers of the engine, fact and time always give the same decision. A step is
carried out when the run comes to it, and the run then stands behind it or waits at it; so none is
carried out twice, and none after the run has ended.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.journey import facts
from orchestrator.core.journey.builder import JourneyBuilder
from orchestrator.core.journey.effects import (
    EmitJourneyStatus,
    JourneyEffect,
    PublishEvent,
    SetAttributes,
    StartMessage,
)
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.inputs import JourneyInputs, Looked, RecordingInputs
from orchestrator.core.journey.journey import (
    OTHERWISE,
    ROUNDS,
    THEN,
    BranchStep,
    Journey,
    JourneyStep,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    SplitArm,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
    step_at,
)
from orchestrator.core.journey.state import (
    JourneyReason,
    JourneyRun,
    JourneyStatus,
    LastMessage,
)
from orchestrator.core.policy import SECOND_MS
from orchestrator.core.quiet_hours import next_time_of_day
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Value, replace

STEPS_AT_ONCE_MAX = 50
"""So many steps are carried out by one decision; the rest has its turn a second later."""
STEPS_MAX = 10_000
"""So many steps are carried out by one run: a second guard, since `repeat` is bounded."""


class JourneyDecision(Value):
    """
    The new state, the effects for the shell, the decision in words, and every answer that it looked
    at. ``carried_out`` are the steps (``JourneyRun.step``) that it carried out.
    """

    run: JourneyRun
    effects: tuple[JourneyEffect, ...]
    said: tuple[str, ...]
    carried_out: tuple[str, ...]
    looked: tuple[Looked, ...]


def decide(
    journey: Journey, run: JourneyRun, inputs: JourneyInputs, fact: JourneyFact, now: Instant
) -> JourneyDecision:
    """
    Decide what follows from one fact. ``journey`` has the version of the run, or after
    ``VersionMoved`` the one that it moves to. ``run`` is not changed; ``now`` is UTC milliseconds.
    """
    recording = RecordingInputs(inputs)
    builder = JourneyBuilder(journey, run.copy(), recording, now)
    apply(builder, fact)
    go_on(builder)
    return JourneyDecision(
        builder.run,
        tuple(builder.effects),
        tuple(builder.said),
        tuple(builder.carried_out),
        tuple(recording.looked),
    )


def apply(builder: JourneyBuilder, fact: JourneyFact) -> None:
    """Apply the fact itself; ``go_on`` then draws the consequences."""
    run = builder.run
    match fact:
        case facts.MessageEnded() | facts.MessageReplied():
            note(builder, fact)
    if run.terminal:
        if not builder.said:
            builder.say("void: the journey has ended")
        return
    if builder.now >= run.deadline_at and not isinstance(fact, facts.PersonErased):
        builder.end(JourneyStatus.EXPIRED, JourneyReason.DEADLINE_PASSED)
        return
    match fact:
        case facts.Entered():
            enter(builder)
        case facts.WaitOver():
            wake(builder, fact)
        case facts.MessageEnded():
            if run.waiting_for == "message" and run.last and run.last.message == fact.message:
                builder.go_past()
        case facts.EventCame():
            come(builder, fact)
        case facts.VersionMoved():
            move(builder, fact)
        case _ if fact_ends := end_by(fact):
            builder.end(*fact_ends)


def end_by(fact: JourneyFact) -> tuple[JourneyStatus, JourneyReason, str] | None:
    """How a fact ends a run; None if it does not."""
    match fact:
        case facts.GoalCame():
            return JourneyStatus.GOAL_MET, JourneyReason.GOAL_REACHED, ""
        case facts.ExitCame():
            return JourneyStatus.EXITED, JourneyReason.EXIT_EVENT, fact.type
        case facts.ExitAsked():
            return JourneyStatus.EXITED, JourneyReason.EXIT_ASKED, fact.by
        case facts.PersonErased():
            return JourneyStatus.EXITED, JourneyReason.ERASED, ""
    return None


def note(builder: JourneyBuilder, fact: facts.MessageEnded | facts.MessageReplied) -> None:
    """Note what became of a message, whether or not the run waits for it."""
    run, last = builder.run, builder.run.last
    ended = isinstance(fact, facts.MessageEnded)
    if ended and fact.message in run.open:
        run.open.remove(fact.message)
    if last is None or last.message != fact.message:
        return
    if isinstance(fact, facts.MessageEnded):
        run.last = replace(last, status=fact.status, succeeded_by=fact.succeeded_by)
        builder.say(f"{last.step}: the message of {last.policy} is {fact.status}")
    else:
        run.last = replace(last, replied_on=fact.channel, choice=fact.choice)
        builder.say(f"{last.step}: the message of {last.policy} was answered")


def enter(builder: JourneyBuilder) -> None:
    """Start a new run, unless it is one too many in a chain."""
    run = builder.run
    builder.effects.append(EmitJourneyStatus(f"journey.{run.status}"))
    if run.hops > HOPS_MAX:
        builder.end(JourneyStatus.FAILED, JourneyReason.TOO_MANY_HOPS)
    else:
        builder.say(f"entered by {run.event_type}")


def wake(builder: JourneyBuilder, fact: facts.WaitOver) -> None:
    """End a wait whose time has come."""
    run = builder.run
    if fact.due_at != run.due_at or builder.now < fact.due_at:
        builder.say("void: the run asks for another time by now")
    elif run.waiting_for == "event":
        miss(builder)
    elif run.waiting_for == "turn":
        builder.stop_waiting()
    else:
        builder.say(f"{run.step}: the wait is over")
        builder.go_past()


def miss(builder: JourneyBuilder) -> None:
    """Go the other way of an `until` whose event did not come in time."""
    builder.say(f"{builder.run.step}: the event did not come in time")
    builder.enter(OTHERWISE)


def come(builder: JourneyBuilder, fact: facts.EventCame) -> None:
    """Go on from an `until` whose event came; one that came too late did not come."""
    run = builder.run
    if run.waiting_for != "event" or run.place != fact.place:
        builder.say("void: the run does not wait for this event any more")
    elif run.due_at is not None and builder.now >= run.due_at:
        miss(builder)
    else:
        builder.say(f"{run.step}: the event came")
        builder.enter(THEN)


def move(builder: JourneyBuilder, fact: facts.VersionMoved) -> None:
    """
    Go on in another version: the wait counts by what that one says, from when it began. Void if
    that version has no step here that can wait so.
    """
    run, step = builder.run, builder.step_here()
    if step is None or waits_for(step) != run.waiting_for:
        builder.say(f"void: version {fact.version} has no such step at {run.place}")
        return
    run.version = fact.version
    run.deadline_at = run.created_at + builder.journey.deadline_ms
    run.rounds = {
        path: rounds
        for path, rounds in run.rounds.items()
        if isinstance(step_at(builder.journey, path), RepeatStep)
    }
    builder.say(f"moved to version {fact.version}")
    if builder.now >= run.deadline_at:
        builder.end(JourneyStatus.EXPIRED, JourneyReason.DEADLINE_PASSED)
        return
    since = builder.now if run.since is None else run.since
    due_at = due_of(builder, step, since)
    run.due_at = run.deadline_at if due_at is None else min(due_at, run.deadline_at)
    if builder.now >= run.due_at:
        wake(builder, facts.WaitOver(run.due_at))


def waits_for(step: JourneyStep) -> str:
    """What a run waits for that stands still at a step; "" if it never does."""
    match step:
        case WaitStep() | UntilTimeStep():
            return "time"
        case UntilEventStep():
            return "event"
        case SendStep(at_once=False):
            return "message"
    return ""


def due_of(builder: JourneyBuilder, step: JourneyStep, since: Instant) -> Instant | None:
    """When a wait is over that began at ``since``; None: only the deadline ends it."""
    match step:
        case WaitStep():
            return since + step.wait_ms
        case UntilTimeStep():
            zone = builder.inputs.zone()
            return next_time_of_day(step.minute, since, zone, step.weekday)
        case UntilEventStep(within_ms=int(within_ms)):
            return since + within_ms
    return None


def go_on(builder: JourneyBuilder) -> None:
    """Carry out steps until the run waits or has ended."""
    run = builder.run
    for _ in range(STEPS_AT_ONCE_MAX):
        if run.terminal or run.waiting_for:
            return
        step = builder.step_here()
        assert step is not None, f"{run.id}: {run.journey} has no step at {run.place}"
        if run.steps >= STEPS_MAX:
            builder.end(JourneyStatus.FAILED, JourneyReason.TOO_MANY_STEPS)
            return
        run.steps += 1
        builder.carried_out.append(run.step)
        carry_out(builder, step)
    if not run.terminal and not run.waiting_for:
        builder.wait("turn", builder.now + SECOND_MS)


def carry_out(builder: JourneyBuilder, step: JourneyStep) -> None:
    """Carry out the step where the run stands, and go past it or wait at it."""
    run = builder.run
    match step:
        case SendStep():
            send(builder, step)
        case WaitStep() | UntilTimeStep():
            builder.wait("time", due_of(builder, step, builder.now))
            builder.say(f"{run.step}: wait until {run.due_at}")
        case UntilEventStep():
            builder.wait("event", due_of(builder, step, builder.now))
            builder.say(f"{run.step}: wait for {step.event} until {run.due_at}")
        case SplitStep():
            arm = arm_of(step, builder.inputs.share(f"{builder.journey.name}/{run.place}"))
            builder.say(f"{run.step}: go the way {arm.name}")
            builder.enter(arm.name)
        case BranchStep():
            branch(builder, step)
        case RepeatStep():
            run.rounds[run.place] = 0
            builder.enter(ROUNDS)
        case PublishStep():
            data = {name: builder.value(expression) for name, expression in step.data}
            builder.effects.append(PublishEvent(step.type, data, run.step))
            builder.say(f"{run.step}: publish {step.type}")
            builder.go_past()
        case SetStep():
            set_attributes(builder, step)
            builder.go_past()


def send(builder: JourneyBuilder, step: SendStep) -> None:
    """Start a message, and wait for its end unless the step says otherwise."""
    run = builder.run
    id = builder.inputs.message_id(step.policy)
    if id is None:
        builder.end(JourneyStatus.FAILED, JourneyReason.POLICY_MISSING, step.policy)
        return
    run.last = LastMessage(id, step.policy, run.step)
    run.open.append(id)
    builder.effects.append(StartMessage(id, step.policy, run.step))
    builder.say(f"{run.step}: send {step.policy}")
    if step.at_once:
        builder.go_past()
    else:
        builder.wait("message")


def branch(builder: JourneyBuilder, step: BranchStep) -> None:
    """Go the first way whose condition is true; what cannot be evaluated is not."""
    run = builder.run
    for number, arm in enumerate(step.arms):
        if arm.when is None or bool(builder.value(arm.when)):
            builder.say(f"{run.step}: take branch {number}")
            builder.enter(str(number))
            return
    builder.say(f"{run.step}: no branch applies")
    builder.go_past()


def set_attributes(builder: JourneyBuilder, step: SetStep) -> None:
    """Set attributes; one whose value cannot be evaluated stays as it is."""
    run = builder.run
    values: dict[str, Any] = {}
    for name, expression in step.values:
        value = builder.value(expression, otherwise=Ellipsis)
        if value is not Ellipsis:
            values[name] = value
    if values:
        builder.changed.update(values)
        builder.effects.append(SetAttributes(values))
        builder.say(f"{run.step}: set {', '.join(values)}")


def arm_of(step: SplitStep, share: float) -> SplitArm:
    """The arm in whose part of all weights a share falls."""
    left = share * sum(arm.weight for arm in step.arms)
    for arm in step.arms:
        left -= arm.weight
        if left < 0:
            return arm
    return step.arms[-1]
