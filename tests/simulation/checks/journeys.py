"""
P1–P6 for journeys: each that an event begins runs and ends once. It does no step twice, and none
before the one ahead of it is done. It sends nothing once it was left, and its history leads to its
state.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import orjson

from orchestrator.core.journey import facts
from orchestrator.core.journey.effects import EmitJourneyStatus, StartMessage
from orchestrator.core.journey.journey import Journey, SendStep, step_at
from orchestrator.core.journey.state import JourneyRun, JourneyStatus
from orchestrator.history.journeys import JourneyEntry, replay_journey
from tests.simulation.checks.evidence import Evidence
from tests.simulation.policies import GOAL_EVENT

LEFT = (JourneyStatus.GOAL_MET, JourneyStatus.EXITED, JourneyStatus.EXPIRED)
GRACE_MS = 60_000


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    journeys = evidence.run.scenery.journeys
    if not journeys:
        return
    yield from begins(evidence, journeys)
    yield from is_published_once(evidence)
    for run, history in evidence.run.journeys.values():
        name = f"{run.journey} of {run.recipient} ({run.id})"
        if not run.terminal:
            yield f"P1 {name} is still running after everything has settled"
        journey = journeys[run.journey]
        yield from each_step_once(evidence, name, journey, run, history)
        yield from none_after_its_end(evidence, name, run, history)
        yield from knows_of_ends(evidence, name, run, history)
        if journey.goal is not None:
            yield from meets_its_goal(evidence, name, run)
        try:
            again = replay_journey(lambda version, journey=journey: journey, run, history)  # type: ignore[misc]
        except (LookupError, ValueError, AssertionError) as error:
            yield f"P6 the history of {name} cannot be decided again: {error!r}"
        else:
            if again != run:
                yield f"P6 the history of {name} leads to another state"


def begins(evidence: Evidence, journeys: Mapping[str, Journey]) -> Iterator[str]:
    """One run for each event that begins a journey, as often as a person may begin it."""
    erased = {deed.what["recipient"] for deed in evidence.deeds("erase")}
    made = Counter(
        (run.journey, run.recipient, run.event_id) for run, _ in evidence.run.journeys.values()
    )
    for key, count in made.items():
        if count > 1:
            yield f"P1 event {key[2]} began {key[0]} of {key[1]} {count} times"
    for journey in journeys.values():
        keys: dict[tuple[str, str], int] = {}
        for deed in evidence.deeds("publish"):
            for person in deed.what["people"] if deed.what["type"] == journey.enter.event else ():
                if person not in erased:
                    place = (person, deed.what["cart"])
                    keys[place] = keys.get(place, 0) + 1
        for (person, cart), events in keys.items():
            runs = sum(
                (run.journey, run.recipient, run.key) == (journey.name, person, cart)
                for run, _ in evidence.run.journeys.values()
            )
            most = 1 if journey.enter.again == "never" else events
            least = events if journey.enter.again == "always" else 1
            if not least <= runs <= most:
                yield (
                    f"P1 {events} event(s) for cart {cart} of {person} began {runs} of"
                    f" {journey.name} ({journey.enter.again})"
                )


def is_published_once(evidence: Evidence) -> Iterator[str]:
    """Every status of a run is published once, its end last."""
    published: dict[str, list[str]] = {}
    for body in evidence.run.statuses:
        event = orjson.loads(body)
        if event["type"].startswith("kaskad.journey."):
            status = event["type"].removeprefix("kaskad.journey.")
            published.setdefault(event["subject"], []).append(status)
    for run, _ in evidence.run.journeys.values():
        if run.terminal and published.get(run.id) != ["running", str(run.status)]:
            yield f"P1 {run.id} is {run.status}, and published of it are {published.get(run.id)}"


def each_step_once(
    evidence: Evidence, name: str, journey: Journey, run: JourneyRun, history: list[JourneyEntry]
) -> Iterator[str]:
    """No step is carried out twice; each send has its message, and no other message is there."""
    steps = Counter(step for entry in history for step in entry.steps)
    for step, times in steps.items():
        if times > 1:
            yield f"P2 {name} carried out step {step} {times} times"
    sends = [one for entry in history for one in entry.effects if isinstance(one, StartMessage)]
    wanted = Counter(one.message for one in sends)
    made = Counter(one.id for one in evidence.messages.values() if one.journey == run.id)
    if wanted != made:
        yield f"P2 {name} says that it sent {sorted(wanted)}, and {sorted(made)} are there"
    for before, after in pairwise(sends):
        waited_for = step_at(journey, before.step.partition("#")[0])
        if isinstance(waited_for, SendStep) and waited_for.at_once:
            continue
        earlier, later = evidence.messages.get(before.message), evidence.messages.get(after.message)
        if earlier is None or later is None or evidence.ledger.jumps:
            continue  # by clocks that jump, nobody can tell which came first
        if earlier.finished_at is None or earlier.finished_at > later.created_at:
            yield f"P3 {name} began step {after.step} before step {before.step} had ended"


def none_after_its_end(
    evidence: Evidence, name: str, run: JourneyRun, history: list[JourneyEntry]
) -> Iterator[str]:
    """Nothing is started or sent once a run was left."""
    if run.finished_at is None:
        return
    done = [one for entry in history for one in entry.effects]
    end = EmitJourneyStatus(f"journey.{run.status}")
    for one in done[done.index(end) :] if end in done else ():
        if isinstance(one, StartMessage):
            yield f"P4 {name} sent {evidence.name(one.message)} after its end"
    for message in evidence.messages.values():
        if message.journey != run.id:
            continue
        if run.status in LEFT and not evidence.ledger.jumps:
            late = [one for one in message.attempts if one.intent_at > run.finished_at]
            if late:
                yield f"P4 {evidence.name(message.id)} left after {name} was {run.status}"


def knows_of_ends(
    evidence: Evidence, name: str, run: JourneyRun, history: list[JourneyEntry]
) -> Iterator[str]:
    """A run is told of the end of each of its messages, in the transaction of that end."""
    ended_at = run.finished_at if run.finished_at is not None else math.inf
    known_ends = {one.fact.message for one in history if isinstance(one.fact, facts.MessageEnded)}
    for message in evidence.messages.values():
        if message.journey != run.id or message.id in known_ends:
            continue
        if message.finished_at is not None and message.finished_at < ended_at:
            yield f"P1 {name} was not told that {evidence.name(message.id)} has ended"


def meets_its_goal(evidence: Evidence, name: str, run: JourneyRun) -> Iterator[str]:
    """A goal that was accepted while it ran has ended it."""
    if evidence.ledger.jumps or run.finished_at is None:
        return
    for deed in evidence.deeds("publish"):
        what = deed.what
        mine = (what["type"], what["cart"]) == (GOAL_EVENT, run.key)
        if not mine or run.recipient not in what["people"] or deed.answered is None:
            continue
        while_it_ran = (
            deed.tried is not None
            and deed.tried.wall > run.created_at
            and deed.answered.wall < run.finished_at
        )
        if while_it_ran and run.status is not JourneyStatus.GOAL_MET:
            yield f"P4 {name} went on after its goal {what['id']}"
