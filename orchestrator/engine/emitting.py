"""
What happens to messages and people, told to those who listen: as a status event to sinks, and as an
inside event to the policies and goals of this very transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.core import effects
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.inside import OPT_OUT, PREFIX, SOURCE
from orchestrator.core.message import UNDELIVERED, Message, Status
from orchestrator.core.reasons import Reason
from orchestrator.engine.batch import BatchContext, InsideEvent
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.trace_context import TRACEPARENT, message_context
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import NewStatusEvent

SUCCEEDED = f"message.{Status.SUCCEEDED}"


def emit_status(context: BatchContext, entry: WorkingMessage, effect: effects.EmitStatus) -> None:
    """Emit the change of a message, or of one of its attempts."""
    message = entry.message
    data = context.view(message, entry.event)
    place = message.id
    if effect.attempt is not None:
        data = {**data, "attempt": effect.attempt}
        place = f"{message.id}/{effect.attempt}"
    share = context.rules.trace_share
    trace = str(message_context(message.id, entry.event, share)) if share is not None else None
    if context.rules.emits_statuses:
        write_status(context, effect.what, message.id, message.recipient, data, trace)
    if effect.what in context.rules.inside and leads_on(entry, effect):
        id = f"{place}/{effect.what}"
        happen(context, id, effect.what, message.recipient, data, message, trace)


def leads_on(entry: WorkingMessage, effect: effects.EmitStatus) -> bool:
    """
    Whether anything may follow from a change of a message. Nothing does from what a chain was cut
    at, from messages of people who were erased, and from a success that is emitted once more.
    """
    message = entry.message
    again = effect.what == SUCCEEDED and UNDELIVERED in message.flags
    erased = message.reason is Reason.ERASED or not entry.event["ce"]
    return message.hops <= HOPS_MAX and not again and not erased


def emit_opt_outs(context: BatchContext, person: Person, message: Message | None = None) -> None:
    """Emit what a person has just opted out of; ``message`` is the one that they answered by it."""
    opted_out, person.opted_out = person.opted_out, []
    for consent in opted_out:
        data = {
            "recipient": person.id,
            "channel": consent.channel,
            "topic": consent.topic,
            "classes": list(consent.classes),
            "source": consent.source,
            "at": rfc3339(consent.at),
            "message": message.id if message is not None else None,
            "policy": message.policy if message is not None else None,
        }
        if context.rules.emits_statuses:
            write_status(context, OPT_OUT, person.id, person.id, data)
        if OPT_OUT in context.rules.inside:
            id = f"{context.new_id()}/{OPT_OUT}"
            happen(context, id, OPT_OUT, person.id, data, message)


def happen(
    context: BatchContext,
    id: str,
    what: str,
    recipient: str,
    data: Mapping[str, Any],
    message: Message | None,
    trace: str | None = None,
) -> None:
    """Note an inside event; what follows from it is decided when its command is done."""
    plain = orjson.loads(orjson.dumps(data))  # as it reads back from the store
    type = PREFIX + what
    if message is None:
        event = InsideEvent(id, type, recipient, recipient, plain, None, 1, id, trace)
    else:
        chain = message.chain or message.id
        place = (message.id, message.hops + 1, chain)
        event = InsideEvent(id, type, message.id, recipient, plain, *place, trace)
    context.inside.append(event)


def write_status(
    context: BatchContext,
    what: str,
    subject: str,
    recipient: str,
    data: Mapping[str, Any],
    trace: str | None = None,
) -> None:
    """Add a status event to the outbox."""
    id = context.new_id()
    body = status_body(id, what, subject, context.now, data)
    if trace is not None:
        body[TRACEPARENT] = trace
    context.work.changes.outbox.append(NewStatusEvent(id, recipient, orjson.dumps(body)))


def status_body(
    id: str, what: str, subject: str, now: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The CloudEvent of one change; ``what`` is its type without the prefix."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": SOURCE,
        "type": PREFIX + what,
        "subject": subject,
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "data": data,
    }
