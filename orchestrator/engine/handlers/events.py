"""
An event comes in: remember it, merge its recipients, end what it makes pointless, start what it
triggers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.core.facts import GoalReached, Triggered
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.engine.applying import scope_of, tell
from orchestrator.engine.batch import Desk
from orchestrator.engine.commands import Conflict, Publish, Published
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person
from orchestrator.stores.port import EventRow

GOAL_DATA_BYTES_MAX = 8_192


def publish(desk: Desk, command: Publish) -> Published:
    """
    Accept one event. A repeat does nothing; the same id with another body raises ``Conflict``.
    """
    event = command.event
    key = (event.source, event.id)
    seen = desk.book.events.get(key)
    if seen is not None:
        if seen.digest != event.digest:
            raise Conflict(
                f"event {event.id!r} of {event.source!r} was published before, with another body"
            )
        if seen.messages or not command.replayed:
            return Published("duplicate", seen.messages)
    document = {"ce": dict(event.attributes), "data": dict(event.data)}
    made: list[str] = []
    for profile in unique(event.recipients):
        person = desk.book.person(profile["id"])
        person.merge(profile, consent_time(event, desk.now))
        reach_goals(desk, event, document, person)
        for policy in desk.rules.by_event.get(event.type, ()):
            if message := start(desk, command, policy, document, person):
                made.append(message)
    status = "accepted" if made else "unmatched"
    if seen is None:
        row = EventRow(event.digest, tuple(made), status)
        desk.book.events[key] = row
        desk.book.changes.events.append(
            (event.source, event.id, event.digest, status, row.messages, desk.now)
        )
    return Published(status, tuple(made))


def unique(recipients: Any) -> list[Mapping[str, Any]]:
    """The recipients of a fan-out, each once: the last profile given for an id counts."""
    return list({profile["id"]: profile for profile in recipients}.values())


def consent_time(event: Event, now: int) -> int:
    """
    When a consent without a time of its own was given: with the event, and never later than now.
    """
    return min(event.time, now) if event.time is not None else now


def start(
    desk: Desk, command: Publish, policy: Policy, document: dict[str, Any], person: Person
) -> str | None:
    """Make the message that a policy wants of an event; None where its trigger's `when` says no."""
    event = command.event
    scope = scope_of(document, person, None)
    if policy.when is not None and not desk.truth(policy.when, scope):
        return None
    since = desk.now if command.replayed or event.time is None else min(event.time, desk.now)
    message = Message(
        id=desk.new_id(),
        event_source=event.source,
        event_id=event.id,
        event_type=event.type,
        recipient=person.id,
        policy=policy.name,
        policy_version=policy.version,
        klass=policy.klass,
        topic=policy.topic,
        created_at=desk.now,
        deadline_at=since + policy.deadline_ms,
        currency=desk.rules.currency,
    )
    entry = desk.book.create(message, document)
    duplicate_of = deduplicate(desk, policy, message, scope)
    goal = goal_before(desk, policy, event, scope, person)
    tell(desk, entry, Triggered(command.replayed), duplicate_of=duplicate_of, goal_reached=goal)
    return message.id


def dedupe_key(desk: Desk, policy: Policy, scope: Mapping[str, Any]) -> str | None:
    """The value of a policy's dedupe key as text; None where there is none."""
    if policy.dedupe is None:
        return None
    try:
        value = desk.evaluate(policy.dedupe.key, scope)
    except ValueError:
        desk.condition_errors += 1
        return None
    return None if value is None else key_text(value)


def key_text(value: Any) -> str:
    """A dedupe key's value as it is stored."""
    return orjson.dumps(value, default=str).decode()


def deduplicate(
    desk: Desk, policy: Policy, message: Message, scope: Mapping[str, Any]
) -> str | None:
    """
    The earlier message with the same key, if its window is still open; else open one for this
    message.
    """
    key = dedupe_key(desk, policy, scope)
    if key is None or policy.dedupe is None:
        return None
    place = (policy.name, message.recipient, key)
    known = desk.book.dedupes.get(place)
    if known is not None and known[1] > desk.now:
        return known[0]
    until = desk.now + policy.dedupe.window_ms
    desk.book.dedupes[place] = (message.id, until)
    desk.book.changes.dedupes.append((*place, message.id, until))
    return None


def reach_goals(desk: Desk, event: Event, document: dict[str, Any], person: Person) -> None:
    """
    End the recipient's messages whose goal this event is, and remember it for triggers that come
    after it.
    """
    for id in list(desk.book.live_of.get(person.id, ())):
        entry = desk.book.entries.get(id)
        if entry is None or entry.message.terminal:
            continue
        policy = desk.shelf[entry.message.policy, entry.message.policy_version]
        if policy.goal is None or policy.goal.event != event.type:
            continue
        scope = scope_of(entry.event, person, entry.message) | {"goal": document["data"]}
        if policy.goal.match is None or desk.truth(policy.goal.match, scope):
            tell(desk, entry, GoalReached(event.source, event.id))
    keep_ms = desk.rules.goals.get(event.type)
    if keep_ms is not None:
        data = (
            document["data"] if len(orjson.dumps(document["data"])) <= GOAL_DATA_BYTES_MAX else {}
        )
        goal = {
            "type": event.type,
            "time": event.time,
            "at": desk.now,
            "source": event.source,
            "id": event.id,
        }
        person.remember_goal(goal | {"data": data}, keep_ms, desk.now)


def goal_before(
    desk: Desk, policy: Policy, event: Event, scope: Mapping[str, Any], person: Person
) -> bool:
    """
    Whether the goal was reached before its trigger was accepted, though not before the trigger
    happened.
    """
    if policy.goal is None:
        return False
    triggered = min(event.time, desk.now) if event.time is not None else desk.now
    for goal in person.document.get("goals", ()):
        reached = goal["time"] if goal["time"] is not None else goal["at"]
        same_event = (goal["source"], goal["id"]) == (event.source, event.id)
        if goal["type"] != policy.goal.event or triggered > reached or same_event:
            continue
        if policy.goal.match is None or desk.truth(
            policy.goal.match, {**scope, "goal": goal["data"]}
        ):
            return True
    return False
