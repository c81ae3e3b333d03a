"""
Conversions: what a person does after a message has reached them, and because of which it was sent.

A message that is sent leaves a note in its recipient's document, and so does one of an experiment
that measures its goal, whatever becomes of it: people who are held out have goals, too. An event of
that type then finds the message by it.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.facts import Converted
from orchestrator.core.message import Status
from orchestrator.core.recipient import Instant
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.experiments import succeed
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person
from orchestrator.recipients.exposures import awaiting


def ask_for_converting(needs: Needs, work: UnitOfWork, person: Person, event: Event) -> None:
    """Ask for what applying an event to the messages that look out for it may need."""
    if event.type in needs.rules.conversions:
        for id in awaiting(person.document, event.type, event.time or 0):
            needs.message_addresses(work, id)


def convert_messages(
    context: BatchContext, event: Event, document: dict[str, Any], person: Person, at: Instant
) -> list[str]:
    """Apply an event to the messages that look out for it; returns those that it converted."""
    if event.type not in context.rules.conversions:
        return []
    found: list[str] = []
    for id in list(awaiting(person.document, event.type, at, context.now)):
        entry = context.work.messages.get(id)
        if entry is None or not entry.event["ce"]:
            continue
        message = entry.message
        policy = context.policies[message.policy, message.policy_version].variant(message.arm)
        convert = policy.conversion
        if convert is None or convert.event != event.type:
            continue
        scope = scope_of(entry.event, person, message, context.now)
        matches = convert.match is None or context.truth(
            convert.match, {**scope, "goal": document["data"]}, policy.name
        )
        if not matches:
            continue
        if policy.experiment is not None and policy.experiment.metric == "goal":
            succeed(context, policy, person, at)
        reached_at = message.reached_at
        if message.status is not Status.SUCCEEDED or reached_at is None:
            continue
        if message.converted_at is None and reached_at <= at <= reached_at + convert.within_ms:
            apply_fact(context, entry, Converted(event.source, event.id, at))
            found.append(id)
    return found
