"""Goal events: they end messages, and are stored for the triggers that come after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from orchestrator.core.facts import GoalReached
from orchestrator.core.policy import Policy
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person

GOAL_DATA_BYTES_MAX = 8_192


def reach_goals(
    context: BatchContext, event: Event, document: dict[str, Any], person: Person
) -> list[str]:
    """
    End the recipient's messages whose goal this event is, and store the goal for triggers that are
    accepted after it. Returns the ids of those that it ended.
    """
    keep_ms = context.rules.goals.get(event.type)
    if keep_ms is None:
        return []
    live = context.work.live_of.get(person.id) or ()
    came = (event.source, event.id)
    ended = end_reached(context, event.type, document["data"], person, came, live)
    small = len(orjson.dumps(document["data"])) <= GOAL_DATA_BYTES_MAX
    goal = {
        "type": event.type,
        "time": event.time,
        "at": context.now,
        "source": event.source,
        "id": event.id,
        "data": document["data"] if small else {},
    }
    person.remember_goal(goal, keep_ms, context.now)
    return ended


def end_reached(
    context: BatchContext,
    type: str,
    data: Any,
    person: Person,
    event: tuple[str, str],
    live: Iterable[str],
) -> list[str]:
    """
    End those of a person's ``live`` messages whose goal an event (source, id) is. Returns the ids
    of those that it ended.
    """
    ended: list[str] = []
    for id in list(live):
        entry = context.work.messages.get(id)
        if entry is None or entry.message.terminal:
            continue
        policy = context.policies[entry.message.policy, entry.message.policy_version]
        scope = scope_of(entry.event, person, entry.message, context.now)
        if goal_matches(context, policy, type, data, scope):
            apply_fact(context, entry, GoalReached(*event))
            ended.append(id)
    return ended


def goal_matches(
    context: BatchContext, policy: Policy, type: str, data: Any, scope: Mapping[str, Any]
) -> bool:
    """Whether an event of this type, with this data, is the goal of a message of the policy."""
    goal = policy.goal
    if goal is None or goal.event != type:
        return False
    if goal.match is None:
        return True
    return bool(context.truth(goal.match, {**scope, "goal": data}, policy.name))
