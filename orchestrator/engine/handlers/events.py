"""
An event comes in: store it, merge its recipients, end the messages whose goal it is, and start the
messages that it triggers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import orjson

from orchestrator.core.digest import gathers_until
from orchestrator.core.facts import IntakeWarning, Joined, Triggered
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.message import AnswerWord, Message
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Value
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.codes import give_codes
from orchestrator.engine.commands import Conflict, EventStatus, Publish, Published
from orchestrator.engine.conversions import ask_for_converting, convert_messages
from orchestrator.engine.emitting import emit_opt_outs
from orchestrator.engine.experiments import arm_for, expose
from orchestrator.engine.goals import goal_matches, reach_goals
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.intake_warnings import by_recipient, crowded_warnings, trimmed_warnings
from orchestrator.engine.journeys import Happening, entry_keys, take_event
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.engine.windows import (
    ask_for_windows,
    deduplicate,
    digest_place,
    later_than,
    open_digest,
    open_for_more,
)
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.rows import EventRow, NewEventRow
from orchestrator.stores.window_rows import JoinedRow


class PublishHandler(Handler[Publish]):
    def needs(self, needs: Needs, command: Publish) -> None:
        event = command.event
        needs.rows.events.add((event.source, event.id))
        for profile in event.recipients:
            needs.rows.recipients.add(profile["id"])
            if event.type in needs.rules.conversions:
                needs.converting.append((profile["id"], event.type, event.time or 0))
            if event.type in needs.rules.goals:
                needs.rows.live_of.add(profile["id"])
            if needs.rules.is_for_journeys(event.type):
                needs.rows.journeys_of.add(profile["id"])

    def ask_in_parts(
        self, needs: Needs, command: Publish, work: UnitOfWork
    ) -> Generator[None, None, None]:
        event = command.event
        policies = needs.rules.by_event.get(event.type, ())
        otp = needs.rules.inside_otp or any(policy.message_class == OTP for policy in policies)
        windowed = [policy for policy in policies if policy.dedupe or policy.digest]
        for profile in event.recipients:
            person = work.person(profile["id"])
            needs.profile_addresses(profile, otp)
            needs.person_addresses(person, otp)
            ask_for_converting(needs, work, person, event)
            if event.type in needs.rules.goals:
                for id in work.live_of.get(person.id) or ():
                    needs.message_addresses(work, id)
            begins = event.type in needs.rules.journeys_by_event
            if windowed or begins:
                # the key may name a field that is stored, and one that the event brings
                copy = orjson.loads(orjson.dumps(person.document))
                merged = Person(person.id, copy, needs.address_hash)
                merged.merge(profile, 0)
                document = document_of(event)
                needs.addresses.entered |= entry_keys(needs, event.type, document, merged)
                scope = scope_of(document, merged, None)
                for policy in windowed:
                    later = event.not_before
                    ask_for_windows(needs, policy, person, scope, later, needs.addresses)
            yield

    def handle(self, context: BatchContext, command: Publish) -> Published:
        parts = self.handle_in_parts(context, command)
        while True:
            try:
                next(parts)
            except StopIteration as end:
                answer: Published = end.value
                return answer

    def handle_in_parts(
        self, context: BatchContext, command: Publish
    ) -> Generator[None, None, Published]:
        """
        Accept one event, a recipient at a time. A repeat does nothing, but for one that nothing
        matched when it came, and something does now; the same id with another body raises
        ``Conflict``.
        """
        event, work = command.event, context.work
        key, warnings = (event.source, event.id), list(event.warnings)
        seen = work.events.get(key)
        if seen is not None:
            if seen.digest != event.digest:
                raise Conflict(
                    f"event {event.id!r} of {event.source!r} was published before, with another"
                    " body"
                )
            if seen.messages or event.type not in context.rules.by_event:
                return published("duplicate", seen.messages, warnings)
        document = document_of(event)
        at = occurred_at(event, context.now)
        origin = Origin(event.source, event.id, event.type, at, event.not_before)
        since = max(context.now if command.replayed else at, event.not_before or 0)
        made: list[str] = []
        ended: list[str] = []
        began: list[str] = []
        about = by_recipient(event)
        # a recipient may stand in a fan-out twice: the last profile counts
        for profile in {profile["id"]: profile for profile in event.recipients}.values():
            person = work.person(profile["id"])
            if seen is not None and not matches_now(context, event, document, person, profile):
                continue  # a repeat must not bring back an old profile
            person.merge(profile, at)
            emit_opt_outs(context, person)
            lost = trimmed_warnings(person)
            warnings += lost
            if seen is None:
                ended += reach_goals(context, event, document, person)
                ended += convert_messages(context, event, document, person, at)
            for policy in context.rules.by_event.get(event.type, ()):
                if wants(context, policy, document, person):
                    fact = Triggered(command.replayed, (*about.get(person.id, ()), *lost))
                    ends_at = since + policy.deadline_ms
                    made.append(start(context, origin, fact, policy, document, person, ends_at))
                yield
            if seen is None and context.rules.is_for_journeys(event.type):
                taken = take_event(
                    context, Happening(event.source, event.id, event.type, document), person
                )
                began += taken.began
                ended += taken.moved
                warnings += crowded_warnings(person, taken)
        if seen is not None and not made:
            return Published("duplicate", (), tuple(warnings))
        made += began
        status: EventStatus = "accepted" if made else "goal" if ended else "unmatched"
        row = work.events[key] = EventRow(event.digest, tuple(made or ended), status)
        stored = NewEventRow(*key, event.digest, status, row.messages, context.now)
        (work.changes.events if seen is None else work.changes.matched).append(stored)
        return published(status, row.messages, warnings)


def published(
    status: EventStatus, ids: Iterable[str], warnings: Iterable[IntakeWarning]
) -> Published:
    """The answer to an event that led to these messages and journeys."""
    both = sorted(ids, key=is_journey)
    messages = tuple(id for id in both if not is_journey(id))
    return Published(status, messages, tuple(warnings), tuple(both[len(messages) :]))


def matches_now(
    context: BatchContext,
    event: Event,
    document: dict[str, Any],
    person: Person,
    profile: Mapping[str, Any],
) -> bool:
    """Whether a policy wants the event of a recipient, whose profile is not changed by asking."""
    copy = orjson.loads(orjson.dumps(person.document))
    merged = Person(person.id, copy, context.address_hash)
    merged.merge(profile, occurred_at(event, context.now))
    scope = scope_of(document, merged, None, context.now)
    policies = context.rules.by_event.get(event.type, ())
    return any(
        policy.when is None or context.truth(policy.when, scope, policy.name) for policy in policies
    )


def document_of(event: Event) -> dict[str, Any]:
    """The event as it is stored with its messages."""
    return {"ce": dict(event.attributes), "data": dict(event.data)}


def occurred_at(event: Event, now: int) -> int:
    """The time of an event: its own, but never later than now."""
    return min(event.time, now) if event.time is not None else now


class Origin(Value):
    """
    The event of a message; ``occurred_at`` is never later than its acceptance. Of an inside event,
    ``caused_by`` is the message that it happened to, ``hops`` and ``chain`` those of what starts.
    ``journey`` is the run that sends the message, under the id ``message`` and for its ``stage``.
    """

    source: str
    id: str
    type: str
    occurred_at: Instant
    not_before: Instant | None = None
    caused_by: str | None = None
    hops: int = 0
    chain: str | None = None
    journey: str | None = None
    stage: str = ""
    message: str = ""
    only_channel: str = ""
    answers: AnswerWord = ""


def wants(context: BatchContext, policy: Policy, document: dict[str, Any], person: Person) -> bool:
    """Whether a policy wants an event of its type: what its trigger's ``when`` says."""
    if policy.when is None:
        return True
    scope = scope_of(document, person, None, context.now)
    return bool(context.truth(policy.when, scope, policy.name))


def start(
    context: BatchContext,
    origin: Origin,
    fact: Triggered,
    policy: Policy,
    document: dict[str, Any],
    person: Person,
    deadline_at: Instant,
) -> str:
    """
    Create the message that a policy wants of an event, or have the event join the digest that is
    open for it. Returns the message's id.
    """
    # keys see no `now`: they were asked for before this batch's time was known
    scope = scope_of(document, person, None)
    goal = goal_before(context, policy, origin, document, person)
    place, (arm, draws) = None, arm_for(context, policy, person)
    starts_at = later_than(context.now, origin.not_before)
    # what a retry or a journey sends, somebody waits for
    if policy.digest is not None and fact.retry_of is None and origin.journey is None:
        place = digest_place(context, policy, person, scope, starts_at)
        digest = open_digest(context, place)
        pointless = goal or context.now >= deadline_at or origin.hops > HOPS_MAX
        if (
            digest is not None
            and not pointless
            and deduplicate(context, policy, digest.message, scope) is None
        ):
            join(context, digest, origin, fact, document)
            return digest.message.id
        since = max(starts_at or 0, context.now)
        if context.now < deadline_at:
            starts_at = gathers_until(policy.digest, since, context.zone_of(person))
            deadline_at += starts_at - since
    message = Message(
        id=origin.message or context.new_id(),
        event_source=origin.source,
        event_id=origin.id,
        event_type=origin.type,
        recipient=person.id,
        policy=policy.name,
        policy_version=policy.version,
        message_class=policy.message_class,
        topic=policy.topic,
        created_at=context.now,
        deadline_at=deadline_at,
        not_before=starts_at,
        currency=context.rules.currency,
        arm=arm,
        caused_by=origin.caused_by,
        hops=origin.hops,
        chain=origin.chain,
        journey=origin.journey,
        stage=origin.stage,
        gathers=policy.digest is not None,
        only_channel=origin.only_channel,
        answers=origin.answers,
    )
    entry = context.work.create(message, document)
    duplicate_of = deduplicate(context, policy, message, scope)
    more: dict[str, Any] = {"duplicate_of": duplicate_of, "goal_reached": goal}
    if policy.codes and duplicate_of is None and not goal and not policy.variant(arm).held_out:
        more |= give_codes(context.work, policy, entry, context.now)
    if draws:
        more["draws"] = draws
    apply_fact(context, entry, fact, **more)
    expose(context, policy, entry.message, person)
    if place is not None and not entry.message.terminal:
        open_for_more(context, place, entry.message)
    return message.id


def join(
    context: BatchContext,
    entry: WorkingMessage,
    origin: Origin,
    fact: Triggered,
    document: dict[str, Any],
) -> None:
    """Have an event join a digest, with its data unless that is full."""
    before, data = entry.message.joined, orjson.dumps(document["data"])
    joined = Joined(origin.source, origin.id, len(data), origin.hops, fact.warnings)
    apply_fact(context, entry, joined)
    if entry.message.joined > before:
        row = JoinedRow(entry.message.id, entry.message.joined, data)
        context.work.changes.joined.append(row)


def goal_before(
    context: BatchContext,
    policy: Policy,
    origin: Origin,
    document: dict[str, Any],
    person: Person,
) -> bool:
    """
    Whether the goal was accepted before this trigger of it, but did not happen before the trigger.
    """
    if policy.goal is None:
        return False
    scope = scope_of(document, person, None, context.now)
    return any(
        goal_matches(context, policy, goal["type"], goal["data"], scope)
        for goal in goals_since(person, origin)
    )


def goals_since(person: Person, origin: Origin) -> Iterator[Mapping[str, Any]]:
    """The stored goals that happened at or after an event, without the event itself."""
    for goal in person.document.get("goals", ()):
        reached_at = goal["time"] if goal["time"] is not None else goal["at"]
        itself = (goal["source"], goal["id"]) == (origin.source, origin.id)
        if reached_at >= origin.occurred_at and not itself:
            yield goal
