"""A journey's facts and steps in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from orchestrator.core.journey import effects, facts
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.inputs import Looked
from orchestrator.core.journey.journey import (
    BranchStep,
    Journey,
    JourneyStep,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
    step_at,
)
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message
from orchestrator.explain.words import Place
from orchestrator.history.journeys import JourneyEntry, JourneyMoment
from orchestrator.primitives.durations import duration

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
VALUE_LENGTH_MAX = 60


def place_words(step: str) -> str:
    """
    ``2.then.0#3`` as ``3 › then › 1, round 3``: steps count from one, blocks have their names.
    """
    path, *rounds = step.split("#")
    parts = [str(int(one) + 1) if one.isdecimal() else one for one in path.split(".")]
    where = " › ".join(parts)
    return f"{where}, round {' of round '.join(reversed(rounds))}" if rounds else where


def message_words(message: Message) -> str:
    """What became of a message."""
    if message.succeeded_by is not None:
        return f"{message.status} by {message.succeeded_by}"
    if message.reason is not None:
        return f"{message.status}: {message.reason.describe().rstrip('.')}"
    return str(message.status)


def named(id: str, messages: Mapping[str, Message]) -> str:
    message = messages.get(id)
    return f"message {id}" if message is None else f"message {id} ({message.policy})"


def fact_words(fact: JourneyFact, run: JourneyRun, messages: Mapping[str, Message]) -> str:
    """What happened."""
    match fact:
        case facts.Entered():
            key = f", with the key {run.key!r}" if run.key else ""
            return f"It began by the event {run.event_id} of {run.event_source}{key}."
        case facts.WaitOver():
            return "The time came that it had waited for."
        case facts.MessageEnded(message, status, by):
            how = f"{status} by {by}" if by else status
            return f"Its {named(message, messages)} ended: {how}."
        case facts.MessageReplied(message, channel, choice):
            what = f"chose {choice!r}" if choice is not None else "answered"
            return f"The person {what} on {channel}, to {named(message, messages)}."
        case facts.EventCame(_, source, id):
            return f"The event came that it had waited for: {id} of {source}."
        case facts.ExitCame(source, id, type):
            return f"An exit came: the event {type}, {id} of {source}."
        case facts.GoalCame(source, id):
            return f"Its goal came: the event {id} of {source}."
        case facts.ExitAsked(by):
            return f"It was ended by {by or 'somebody'}."
        case facts.PersonErased():
            return "The person was erased."
        case facts.VersionMoved(version):
            return f"It was moved to version {version}."


def steps_words(entry: JourneyEntry, moment: JourneyMoment, place: Place) -> list[dict[str, Any]]:
    """The steps that one decision carried out, each with why, and how it ended or waits."""
    words: list[dict[str, Any]] = []
    looked = iter(entry.looked)
    starts = {
        one.step: one.message for one in entry.effects if isinstance(one, effects.StartMessage)
    }
    sets = iter([one.values for one in entry.effects if isinstance(one, effects.SetAttributes)])
    for name in entry.steps:
        step = step_at(moment.journey, name.partition("#")[0])
        if step is None:
            continue
        because: list[str] = []
        said = step_words(step, name, starts, sets, looked, because)
        words.append({"step": place_words(name), "said": said, "because": because})
    after = moment.decision.run
    void = [words for words in entry.decision if words.startswith("void")]
    words += [
        {"step": "", "said": f"Nothing followed: {words[6:]}.", "because": []} for words in void
    ]
    if after.terminal and not moment.before.terminal:
        reason = f": {after.reason.describe()}" if after.reason is not None else "."
        detail = f" ({after.reason_detail})" if after.reason_detail else ""
        words.append(
            {"step": "", "said": f"It ended {after.status}{reason}{detail}", "because": []}
        )
    elif after.waiting_for and not void and after.due_at is not None:
        until = place.words(after.due_at)
        words.append({"step": "", "said": f"It waits until {until} at the latest.", "because": []})
    return words


def step_words(
    step: JourneyStep,
    name: str,
    starts: Mapping[str, str],
    sets: Iterator[Mapping[str, Any]],
    looked: Iterator[Looked],
    because: list[str],
) -> str:
    """
    One step in words; what it looked at is taken from ``looked``, in the order of the decision.
    """
    match step:
        case SendStep():
            next(looked, None)
            id = starts.get(name)
            if id is None:
                return f"could not send {step.policy}: no such policy is configured"
            goes_on = ", and goes on at once" if step.at_once else ""
            return f"sends {step.policy}: message {id}{goes_on}"
        case WaitStep():
            return f"waits {duration(step.wait_ms)}"
        case UntilTimeStep():
            zone = next(looked, None)
            day = f"{WEEKDAYS[step.weekday]} " if step.weekday is not None else ""
            where = f" ({zone.answer})" if zone is not None else ""
            hour, minute = divmod(step.minute, 60)
            return f"waits for {day}{hour:02}:{minute:02} of the person's clock{where}"
        case UntilEventStep():
            return until_words(step)
        case SplitStep():
            share = next(looked, None)
            weights = ", ".join(f"{arm.name} {arm.weight}" for arm in step.arms)
            if share is not None:
                because.append(f"the person's share is {float(share.answer):.3f} of: {weights}")
            return "splits the way"
        case BranchStep():
            return branch_words(step, looked, because)
        case RepeatStep():
            return f"repeats {len(step.steps)} step(s) {step.times} times"
        case PublishStep():
            data = [(key, next(looked, None)) for key, _ in step.data]
            because += [f"{key} is {value_words(one)}" for key, one in data]
            return f"publishes {step.type}"
        case SetStep():
            for _ in step.values:
                next(looked, None)
            values = next(sets, {})
            because += [f"{key} is now {json_words(value)}" for key, value in values.items()]
            return "sets attributes of the person"


def branch_words(step: BranchStep, looked: Iterator[Looked], because: list[str]) -> str:
    for number, arm in enumerate(step.arms, start=1):
        if arm.when is None:
            return f"takes way {number}, which is for everybody else"
        one = next(looked, None)
        true = one is not None and not one.failed and bool(one.answer)
        because.append(f"{arm.when} is {'true' if true else value_words(one)}")
        if true:
            return f"takes way {number}"
    return "takes no way, because no condition is true"


def until_words(step: UntilEventStep) -> str:
    match = f" with {step.match}" if step.match else ""
    within = f", for {duration(step.within_ms)} at most" if step.within_ms is not None else ""
    return f"waits for an event {step.event}{match}{within}"


def value_words(one: Looked | None) -> str:
    if one is None:
        return "not known"
    return f"not to be evaluated ({one.failed})" if one.failed else json_words(one.answer)


def json_words(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}…"


def waiting_words(
    run: JourneyRun, journey: Journey | None, place: Place, messages: Mapping[str, Message]
) -> str | None:
    """What a running journey waits for now; None once it has ended."""
    if run.terminal:
        return None
    step = step_at(journey, run.place) if journey is not None else None
    where = f"at step {place_words(run.step)}"
    until = f" until {place.words(run.due_at)}" if run.due_at is not None else ""
    match run.waiting_for:
        case "message" if run.last is not None:
            message = messages.get(run.last.message)
            now = f", which is {message_words(message)}" if message is not None else ""
            return f"for the end of message {run.last.message} ({run.last.policy}){now}, {where}"
        case "event" if isinstance(step, UntilEventStep):
            match = f" with {step.match}" if step.match else ""
            return f"for an event {step.event}{match}, {where},{until}"
        case "time":
            return f"for the time, {where},{until}"
    return f"for its next turn, {where},{until}"
