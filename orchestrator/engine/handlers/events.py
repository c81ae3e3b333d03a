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
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import Conflict, Publish, Published
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import DedupeRow, DedupeWindow, EventRow, NewEventRow

GOAL_DATA_BYTES_MAX = 8_192


def publish(context: BatchContext, command: Publish) -> Published:
    """
    Accept one event. A repeat does nothing; the same id with another body raises ``Conflict``.
    """
    event = command.event
    key = (event.source, event.id)
    seen = context.work.events.get(key)
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
        person = context.work.person(profile["id"])
        person.merge(profile, consent_time(event, context.now))
        reach_goals(context, event, document, person)
        for policy in context.rules.by_event.get(event.type, ()):
            if message := start(context, command, policy, document, person):
                made.append(message)
    status = "accepted" if made else "unmatched"
    if seen is None:
        row = EventRow(event.digest, tuple(made), status)
        context.work.events[key] = row
        context.work.changes.events.append(
            NewEventRow(event.source, event.id, event.digest, status, row.messages, context.now)
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
    context: BatchContext,
    command: Publish,
    policy: Policy,
    document: dict[str, Any],
    person: Person,
) -> str | None:
    """Make the message that a policy wants of an event; None where its trigger's `when` says no."""
    event = command.event
    scope = scope_of(document, person, None)
    if policy.when is not None and not context.truth(policy.when, scope):
        return None
    since = context.now if command.replayed or event.time is None else min(event.time, context.now)
    message = Message(
        id=context.new_id(),
        event_source=event.source,
        event_id=event.id,
        event_type=event.type,
        recipient=person.id,
        policy=policy.name,
        policy_version=policy.version,
        message_class=policy.message_class,
        topic=policy.topic,
        created_at=context.now,
        deadline_at=since + policy.deadline_ms,
        currency=context.rules.currency,
    )
    entry = context.work.create(message, document)
    duplicate_of = deduplicate(context, policy, message, scope)
    goal = goal_before(context, policy, event, scope, person)
    apply_fact(
        context, entry, Triggered(command.replayed), duplicate_of=duplicate_of, goal_reached=goal
    )
    return message.id


def dedupe_key(context: BatchContext, policy: Policy, scope: Mapping[str, Any]) -> str | None:
    """The value of a policy's dedupe key as text; None where there is none."""
    if policy.dedupe is None:
        return None
    try:
        value = context.evaluate(policy.dedupe.key, scope)
    except ValueError:
        context.condition_errors += 1
        return None
    return None if value is None else key_text(value)


def key_text(value: Any) -> str:
    """A dedupe key's value as it is stored."""
    return orjson.dumps(value, default=str).decode()


def deduplicate(
    context: BatchContext, policy: Policy, message: Message, scope: Mapping[str, Any]
) -> str | None:
    """
    The earlier message with the same key, if its window is still open; else open one for this
    message.
    """
    key = dedupe_key(context, policy, scope)
    if key is None or policy.dedupe is None:
        return None
    place = (policy.name, message.recipient, key)
    known = context.work.dedupes.get(place)
    if known is not None and known.until > context.now:
        return known.message
    until = context.now + policy.dedupe.window_ms
    context.work.dedupes[place] = DedupeWindow(message.id, until)
    context.work.changes.dedupes.append(DedupeRow(*place, message.id, until))
    return None


def reach_goals(
    context: BatchContext, event: Event, document: dict[str, Any], person: Person
) -> None:
    """
    End the recipient's messages whose goal this event is, and remember it for triggers that come
    after it.
    """
    for id in list(context.work.live_of.get(person.id, ())):
        entry = context.work.entries.get(id)
        if entry is None or entry.message.terminal:
            continue
        policy = context.policies[entry.message.policy, entry.message.policy_version]
        if policy.goal is None or policy.goal.event != event.type:
            continue
        scope = scope_of(entry.event, person, entry.message) | {"goal": document["data"]}
        if policy.goal.match is None or context.truth(policy.goal.match, scope):
            apply_fact(context, entry, GoalReached(event.source, event.id))
    keep_ms = context.rules.goals.get(event.type)
    if keep_ms is not None:
        data = (
            document["data"] if len(orjson.dumps(document["data"])) <= GOAL_DATA_BYTES_MAX else {}
        )
        goal = {
            "type": event.type,
            "time": event.time,
            "at": context.now,
            "source": event.source,
            "id": event.id,
        }
        person.remember_goal(goal | {"data": data}, keep_ms, context.now)


def goal_before(
    context: BatchContext, policy: Policy, event: Event, scope: Mapping[str, Any], person: Person
) -> bool:
    """
    Whether the goal was reached before its trigger was accepted, though not before the trigger
    happened.
    """
    if policy.goal is None:
        return False
    triggered = min(event.time, context.now) if event.time is not None else context.now
    for goal in person.document.get("goals", ()):
        reached = goal["time"] if goal["time"] is not None else goal["at"]
        same_event = (goal["source"], goal["id"]) == (event.source, event.id)
        if goal["type"] != policy.goal.event or triggered > reached or same_event:
            continue
        if policy.goal.match is None or context.truth(
            policy.goal.match, {**scope, "goal": goal["data"]}
        ):
            return True
    return False
