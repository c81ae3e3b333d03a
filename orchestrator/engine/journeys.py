"""
Events that concern journeys: which runs of a person they end or move on, and which they begin.

    event ─► facts for the person's runs (exit, goal, until), each decided in its turn
          ─► a new run for each journey that it enters, whose first fact is ``Entered``

Nothing is decided here: every fact waits in ``BatchContext.inside`` for ``handlers/journeys``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson

from orchestrator.core.hops import CHAIN_MAX, HOPS_MAX
from orchestrator.core.journey import facts
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.journey import Journey, JourneyEnd, UntilEventStep, step_at
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.values import Value
from orchestrator.engine.applying import scope_of
from orchestrator.engine.batch import BatchContext, QueuedFact
from orchestrator.engine.journey_inputs import journey_view
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingJourney
from orchestrator.recipients.document import Person
from orchestrator.stores.journey_rows import JOURNEY_ID_PREFIX, EnteredRow, EntryKey

RUNNING_MAX = 100
"""So many journeys of one person may run at once; one that comes then does not begin."""
KEY_LENGTH_MAX = 200


class Happening(Value):
    """An event as journeys see it, from outside or inside; ``document`` is ``{"ce", "data"}``."""

    source: str
    id: str
    type: str
    document: Mapping[str, Any]
    caused_by: str | None = None
    hops: int = 0
    chain: str | None = None


class Taken(Value):
    """
    What journeys made of an event: the runs that it began, those that it ended or moved on, and the
    names of journeys that did not begin because too many of this person run.
    """

    began: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    crowded: tuple[str, ...] = ()


def take_event(context: BatchContext, happening: Happening, person: Person) -> Taken:
    """Tell the person's running journeys of an event, and begin those that it enters."""
    rules = context.rules
    running = [entry for entry in running_of(context.work, person.id)]
    moved, over = list[str](), set[str]()
    if happening.type in rules.journey_events:
        for entry in running:
            fact = fact_in(context, entry, happening, person)
            if fact is None:
                continue
            moved.append(entry.run.id)
            if not isinstance(fact, facts.EventCame):
                over.add(entry.run.id)
            context.inside.append(QueuedFact(entry.run.id, fact, happening.document))
    left = [entry for entry in running if entry.run.id not in over]
    began, crowded = list[str](), list[str]()
    for journey in rules.journeys_by_event.get(happening.type, ()):
        if not may_enter(context, journey, happening, person, left):
            continue
        if len(left) >= RUNNING_MAX:
            crowded.append(journey.name)
            continue
        entry = begin(context, journey, happening, person)
        left.append(entry)
        began.append(entry.run.id)
    return Taken(tuple(began), tuple(moved), tuple(crowded))


def running_of(work: UnitOfWork, recipient: str) -> Iterator[WorkingJourney]:
    """The running journeys of a person, the oldest first. Raises ``NotLoaded``."""
    for id in list(work.journeys_of.get(recipient) or ()):
        entry = work.journeys.get(id)
        if entry is not None and not entry.run.terminal:
            yield entry


def fact_in(
    context: BatchContext, entry: WorkingJourney, happening: Happening, person: Person
) -> JourneyFact | None:
    """What an event means to a run: its goal, one of its exits, or what it waits for."""
    run = entry.run
    journey = context.journeys[run.journey, run.version]
    goal = journey.goal
    if goal is not None and end_matches(context, entry, goal, "goal", happening, person):
        return facts.GoalCame(happening.source, happening.id)
    for one in journey.exits:
        if end_matches(context, entry, one, "exit", happening, person):
            return facts.ExitCame(happening.source, happening.id, happening.type)
    if run.waiting_for != "event":
        return None
    step = step_at(journey, run.place)
    if not isinstance(step, UntilEventStep) or step.event != happening.type:
        return None
    scope = {
        **scope_of(happening.document, person, None, context.now),
        "journey": journey_view(entry),
    }
    if step.match is None or context.truth(step.match, scope, run.journey):
        return facts.EventCame(run.place, happening.source, happening.id)
    return None


def end_matches(
    context: BatchContext,
    entry: WorkingJourney,
    end: JourneyEnd,
    name: str,
    happening: Happening,
    person: Person,
) -> bool:
    """Whether an event is this goal or exit; the expression knows it by ``name``."""
    if end.event != happening.type:
        return False
    if end.match is None:
        return True
    began = entry.events.get("") or {"ce": {}, "data": {}}
    scope = scope_of(began, person, None, context.now)
    scope |= {"journey": journey_view(entry), name: happening.document["data"]}
    return bool(context.truth(end.match, scope, entry.run.journey))


def may_enter(
    context: BatchContext,
    journey: Journey,
    happening: Happening,
    person: Person,
    running: list[WorkingJourney],
) -> bool:
    """Whether an event begins a journey for a person who has these running."""
    scope = scope_of(happening.document, person, None, context.now)
    enter = journey.enter
    if enter.when is not None and not context.truth(enter.when, scope, journey.name):
        return False
    if enter.again == "always":
        return True
    key = key_of(context, journey, scope)
    if any((one.run.journey, one.run.key) == (journey.name, key) for one in running):
        return False
    if enter.again == "after_end":
        return True
    return context.work.entered.get(entry_key(context, journey, person.id, key)) is None


def key_of(at_hand: Needs | BatchContext, journey: Journey, scope: Mapping[str, Any]) -> str:
    """
    The value of a journey's key as text, "" without one. A long one is cut, and its hash follows;
    so it does where a NUL is left out, which PostgreSQL takes in no text.
    """
    if journey.enter.key is None:
        return ""
    try:
        value = at_hand.value(journey.enter.key, scope, journey.name)
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except (ValueError, TypeError):
        return ""
    if value is None:
        return ""
    shown = text[:KEY_LENGTH_MAX].replace("\0", "")
    if shown == text:
        return text
    return f"{shown}…{at_hand.address_hash('journey', text)}"


def entry_key(
    at_hand: Needs | BatchContext, journey: Journey, recipient: str, key: str
) -> EntryKey:
    """The place where the store remembers that a person has begun a journey with a key."""
    return recipient, journey.name, at_hand.address_hash("journey", key)


def entry_keys(
    at_hand: Needs | BatchContext, type: str, document: Mapping[str, Any], person: Person
) -> set[EntryKey]:
    """The keys that the journeys which an event may begin look up."""
    found: set[EntryKey] = set()
    for journey in at_hand.rules.journeys_by_event.get(type, ()):
        if journey.enter.again == "never":
            key = key_of(at_hand, journey, scope_of(document, person, None))
            found.add(entry_key(at_hand, journey, person.id, key))
    return found


def begin(
    context: BatchContext, journey: Journey, happening: Happening, person: Person
) -> WorkingJourney:
    """Create a run; its first fact is decided in its turn."""
    now = context.now
    scope = scope_of(happening.document, person, None, now)
    hops = happening.hops
    if happening.chain is not None and person.lengthen_chain(happening.chain) > CHAIN_MAX:
        hops = HOPS_MAX + 1
    run = JourneyRun(
        id=JOURNEY_ID_PREFIX + context.new_id(),
        journey=journey.name,
        version=journey.version,
        recipient=person.id,
        key=key_of(context, journey, scope),
        event_source=happening.source,
        event_id=happening.id,
        event_type=happening.type,
        created_at=now,
        deadline_at=now + journey.deadline_ms,
        caused_by=happening.caused_by,
        hops=hops,
        chain=happening.chain,
    )
    entry = context.work.begin_journey(run, dict(happening.document))
    if journey.enter.again == "never":
        place = entry_key(context, journey, person.id, run.key)
        context.work.entered[place] = run.id
        context.work.changes.entered.append(EnteredRow(*place, run.id, now))
    context.inside.append(QueuedFact(run.id, facts.Entered()))
    return entry


async def no_journey(name: str, version: str) -> Journey:
    """For an engine that knows no journeys but the current ones."""
    raise LookupError(f"journey {name} version {version} is not known")


async def versions_of(
    work: UnitOfWork, rules: Rules, find: Callable[[str, str], Awaitable[Journey]]
) -> dict[tuple[str, str], Journey]:
    """Today's journeys and those of every run in the work, by name and version."""
    journeys = {(one.name, one.version): one for one in rules.journeys.values()}
    for name in {(one.run.journey, one.run.version) for one in work.journeys} - journeys.keys():
        journeys[name] = await find(*name)
    return journeys
