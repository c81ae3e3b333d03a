"""Handler of what an agent or a bot answers to a recipient, within the session they have opened."""

from __future__ import annotations

import hashlib

from orchestrator.core.facts import Triggered
from orchestrator.core.policy import CONVERSATION, CONVERSATIONAL
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import Conflict, Converse, Conversed, UnknownRecipient
from orchestrator.engine.handlers.events import Origin, start
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.rows import EventRow, NewEventRow

SOURCE = "kaskad/conversation"
"""The source of what is answered over the API; its ids are idempotency keys."""
TYPE = "kaskad.conversation"


class ConverseHandler(Handler[Converse]):
    def needs(self, needs: Needs, command: Converse) -> None:
        needs.rows.recipients.add(command.recipient)
        needs.rows.events.add((SOURCE, command.key))

    def needs_addresses(self, needs: Needs, command: Converse, work: UnitOfWork) -> None:
        needs.person_addresses(work.person(command.recipient))

    def handle(self, context: BatchContext, command: Converse) -> Conversed:
        """
        Start the message, once for each key. Raises ``UnknownRecipient``; ``Conflict`` if the key
        was used with another text; ``LookupError`` if nothing can be answered on that channel.
        """
        work, key = context.work, (SOURCE, command.key)
        text = "\0".join((command.recipient, command.channel, command.text))
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        seen = work.events.get(key)
        if seen is not None:
            if seen.digest != digest:
                raise Conflict(f"the idempotency key {command.key!r} was used for another text")
            return Conversed(seen.messages[0], repeated=True)
        person = work.person(command.recipient)
        if not (person.known or person.dirty):
            raise UnknownRecipient(command.recipient)
        policy = context.rules.policies.get(CONVERSATION)
        channels = {step.channel for step in policy.cascade} if policy is not None else set()
        if policy is None or command.channel not in channels:
            raise LookupError(command.channel)
        if policy.message_class != CONVERSATIONAL:
            raise Conflict(f"the policy {CONVERSATION} must have class: {CONVERSATIONAL}")
        document = {
            "ce": {
                "id": command.key,
                "source": SOURCE,
                "type": TYPE,
                "subject": person.id,
                "time": rfc3339(context.now),
            },
            "data": {"channel": command.channel, "text": command.text},
        }
        origin = Origin(SOURCE, command.key, TYPE, context.now, only_channel=command.channel)
        ends_at = context.now + policy.deadline_ms
        made = start(context, origin, Triggered(), policy, document, person, ends_at)
        row = EventRow(digest, (made,), "accepted")
        work.events[key] = row
        stored = NewEventRow(*key, digest, row.status, row.messages, context.now)
        work.changes.events.append(stored)
        return Conversed(made)
