"""
Facts about runs of journeys: decide each one, and carry out what follows in the same transaction.

    QueuedFact ─► decide ─► start and end messages, set attributes, publish events, emit statuses

A message that a run starts may end at once, and its end is the run's next fact: so facts wait in
``BatchContext.inside``, and a decision is never made within another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from orchestrator.core.facts import Cancelled, Triggered
from orchestrator.core.inside import PREFIX, SOURCE
from orchestrator.core.journey import effects, facts
from orchestrator.core.journey.decide import JourneyDecision, decide
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.journey import THEN, Journey, event_of, same_place
from orchestrator.core.journey.state import JourneyReason, JourneyRun
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext, InsideEvent, JourneyDecided, QueuedFact
from orchestrator.engine.commands import ApplyJourneyFact, MoveJourney, UnknownJourney
from orchestrator.engine.emitting import write_event, write_status
from orchestrator.engine.handlers.events import Origin, start
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.journey_inputs import EngineJourneyInputs, event_at
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingJourney
from orchestrator.engine.windows import dedupe_key
from orchestrator.events.cloudevents import NOT_BEFORE
from orchestrator.history.journeys import encode_journey_entry
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.document import Person
from orchestrator.recipients.fields import rfc3339_ms
from orchestrator.stores.rows import WantedAddresses


class ApplyJourneyFactHandler(Handler[ApplyJourneyFact]):
    def needs(self, needs: Needs, command: ApplyJourneyFact) -> None:
        needs.rows.journeys.add(command.journey)

    def handle(self, context: BatchContext, command: ApplyJourneyFact) -> bool:
        """Whether the journey ran when it was queued. Raises ``UnknownJourney``."""
        entry = find_journey(context, command.journey)
        running = not entry.run.terminal
        context.inside.append(QueuedFact(command.journey, command.fact))
        context.work.write_down(command.note if running else None)
        return running


class MoveJourneyHandler(Handler[MoveJourney]):
    def needs(self, needs: Needs, command: MoveJourney) -> None:
        needs.rows.journeys.add(command.journey)

    def handle(self, context: BatchContext, command: MoveJourney) -> bool:
        """
        Whether the run goes on in today's version: it runs, is in another one, and waits at a step
        that both have. Raises ``UnknownJourney``.
        """
        entry = find_journey(context, command.journey)
        today = context.rules.journeys.get(entry.run.journey)
        old = context.journeys[entry.run.journey, entry.run.version]
        if today is None or not movable(entry.run, old, today):
            return False
        if not command.dry_run:
            fact = facts.VersionMoved(today.version)
            context.inside.append(QueuedFact(command.journey, fact))
            context.work.write_down(command.note)
        return True


def movable(run: JourneyRun, old: Journey, new: Journey) -> bool:
    """Whether a run may go on in another version of its journey."""
    return (
        not run.terminal
        and run.version != new.version
        and run.waiting_for not in ("", "turn")
        and same_place(old, new, run.place)
    )


def find_journey(context: BatchContext, id: str) -> WorkingJourney:
    """A run of the batch. Raises ``UnknownJourney``."""
    entry = context.work.journeys.get(id)
    if entry is None:
        raise UnknownJourney(id)
    return entry


def ask_for_journeys(needs: Needs, work: UnitOfWork) -> None:
    """
    Ask for what the runs that were loaded may need to send and to cancel messages. One that has
    ended does neither, though messages of it may still be under way; these were not loaded.
    """
    for entry in work.journeys:
        if entry.run.terminal:
            continue
        needs.person_addresses(work.person(entry.run.recipient), needs.rules.inside_otp)
        for id in entry.run.open:
            needs.message_addresses(work, id)


def apply_journey_fact(context: BatchContext, queued: QueuedFact) -> Iterator[WantedAddresses]:
    """
    Decide one fact of a run and carry out its effects. Yields the dedupe window of each message
    before it is started.
    """
    entry = context.work.journeys.get(queued.run)
    if entry is None:  # its recipient was erased, or it ended so long ago that it was purged
        return
    before, fact = entry.run, queued.fact
    person = context.work.person(before.recipient)
    journey = version_for(context, before, fact)
    if isinstance(fact, facts.EventCame) and queued.event is not None:
        entry.events[fact.place] = queued.event
    inputs = EngineJourneyInputs(context, entry, person)
    decision = decide(journey, before, inputs, fact, context.now)
    if decision.run == before and not decision.effects:
        entry.events = events_in_use(entry.events, before)
        return
    if context.keeps_history:
        entry.lines.append(encode_journey_entry(context.now, fact, decision))
    entry.run = decision.run
    context.journeys_decided.append(JourneyDecided(before, fact, decision, context.now))
    yield from carry_out(context, entry, person, journey, decision)
    entry.events = events_in_use(entry.events, entry.run)


def version_for(context: BatchContext, run: JourneyRun, fact: JourneyFact) -> Journey:
    """The journey by which a fact is decided."""
    version = fact.version if isinstance(fact, facts.VersionMoved) else run.version
    return context.journeys[run.journey, version]


def events_in_use(events: dict[str, Any], run: JourneyRun) -> dict[str, Any]:
    """Those events that an expression can still see: the first one, and of each `until` around."""
    if run.terminal:
        return {path: event for path, event in events.items() if not path}
    return {
        path: event
        for path, event in events.items()
        if not path or run.place.startswith(f"{path}.{THEN}.")
    }


def carry_out(
    context: BatchContext,
    entry: WorkingJourney,
    person: Person,
    journey: Journey,
    decision: JourneyDecision,
) -> Iterator[WantedAddresses]:
    """Write what the effects say, in their order."""
    run, work = entry.run, context.work
    for effect in decision.effects:
        match effect:
            case effects.StartMessage():
                yield window_of(context, entry, person, effect)
                start_message(context, entry, person, journey, effect)
            case effects.EndMessages():
                for id in effect.messages:
                    message = work.messages.get(id)
                    if message is not None and not message.message.terminal:
                        apply_fact(context, message, Cancelled(effect.reason))
            case effects.SetAttributes():
                person.merge({"attributes": dict(effect.values)}, context.now)
            case effects.PublishEvent():
                publish(context, run, effect)
            case effects.EmitJourneyStatus():
                emit_journey(context, run, effect)


def place_of(step: str) -> str:
    """The path of a step without its rounds."""
    return step.partition("#")[0]


def window_of(
    context: BatchContext, entry: WorkingJourney, person: Person, effect: effects.StartMessage
) -> WantedAddresses:
    """The dedupe window that a message looks at."""
    policy = context.rules.policies[effect.policy]
    wanted = WantedAddresses()
    if policy.dedupe is not None:
        scope = scope_of(event_at(entry, place_of(effect.step)), person, None)
        if (key := dedupe_key(context, policy, scope)) is not None:
            wanted.dedupes.add((policy.name, person.id, key))
    return wanted


def start_message(
    context: BatchContext,
    entry: WorkingJourney,
    person: Person,
    journey: Journey,
    effect: effects.StartMessage,
) -> None:
    """Start a message of a run for the event that is the run's at that step."""
    run, now = entry.run, context.now
    policy = context.rules.policies[effect.policy]
    document = event_at(entry, place_of(effect.step))
    ce = document["ce"]
    began = event_of(place_of(effect.step)) is None
    origin = Origin(
        source=run.event_source if began else str(ce.get("source", SOURCE)),
        id=run.event_id if began else str(ce.get("id", run.event_id)),
        type=run.event_type if began else str(ce.get("type", run.event_type)),
        occurred_at=now,
        not_before=rfc3339_ms(ce.get(NOT_BEFORE)),
        caused_by=run.caused_by,
        hops=run.hops,
        chain=run.chain,
        journey=run.id,
        stage=journey.stage,
        message=effect.message,
    )
    ends_at = max(now, origin.not_before or 0) + policy.deadline_ms
    start(context, origin, Triggered(), policy, dict(document), person, ends_at)


def publish(context: BatchContext, run: JourneyRun, effect: effects.PublishEvent) -> None:
    """Publish an event of a journey: to sinks, and to the policies and journeys inside."""
    id = f"{run.id}/{effect.step}"
    data = {"recipient": run.recipient, "journey": run.id, **effect.data}
    if context.rules.emits_statuses:
        write_event(context, effect.type, run.id, run.recipient, data)
    if context.rules.is_for_anybody(effect.type):
        happen_to_journey(context, run, id, effect.type, data)


def emit_journey(context: BatchContext, run: JourneyRun, effect: effects.EmitJourneyStatus) -> None:
    """Emit the status of a run. Nothing follows from its end when its recipient is erased."""
    data = status_view(run)
    if context.rules.emits_statuses:
        write_status(context, effect.what, run.id, run.recipient, data)
    if effect.what in context.rules.inside and run.reason is not JourneyReason.ERASED:
        happen_to_journey(context, run, f"{run.id}/{effect.what}", PREFIX + effect.what, data)


def happen_to_journey(
    context: BatchContext, run: JourneyRun, id: str, type: str, data: Mapping[str, Any]
) -> None:
    """Note an inside event of a run."""
    plain = orjson.loads(orjson.dumps(data))
    where = (run.id, run.hops + 1, run.chain or run.id)
    event = InsideEvent(id, type, run.id, run.recipient, plain, *where)
    context.inside.append(event)


def status_view(run: JourneyRun) -> dict[str, Any]:
    """The data of a journey's status event."""
    return {
        "journey": run.id,
        "name": run.journey,
        "version": run.version,
        "recipient": run.recipient,
        "key": run.key,
        "status": str(run.status),
        "reason": str(run.reason) if run.reason is not None else None,
        "reason_detail": run.reason_detail or None,
        "event": {"source": run.event_source, "id": run.event_id, "type": run.event_type},
        "created_at": rfc3339(run.created_at),
        "finished_at": rfc3339(run.finished_at) if run.finished_at is not None else None,
    }
