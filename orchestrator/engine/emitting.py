"""
What happens to messages and people, told to those who listen: as a status event to sinks, and as an
inside event to the policies and goals of this very transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from orchestrator.core import effects
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.inside import OPT_OUT, PREFIX, REPLY, SOURCE
from orchestrator.core.journey.facts import MessageEnded, MessageReplied
from orchestrator.core.message import UNDELIVERED, Message, Status
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.replies import Reply
from orchestrator.core.values import Value
from orchestrator.engine.batch import BatchContext, InsideEvent, QueuedFact
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.trace_context import TRACEPARENT, message_context
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import NewStatusEvent

log = structlog.get_logger()

UNKNOWN = "unknown"
"""The subject of a reply from an address that is nobody's."""
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


class ReplyMade(Value):
    """A person has written on a channel, from an address (masked)."""

    id: str
    channel: str
    address: str
    reply: Reply
    at: Instant
    session_until: Instant | None


def emit_reply(
    context: BatchContext, made: ReplyMade, entry: WorkingMessage | None, recipient: str | None
) -> dict[str, Any]:
    """
    Emit what a person has written, and return its data; ``entry`` is the message that they have
    answered. If nobody knows who they are it is a status event and a line of the log, and nothing
    can follow from it.
    """
    message = entry.message if entry is not None else None
    until = made.session_until
    data = {
        "channel": made.channel,
        "text": made.reply.text,
        "choice": made.reply.choice,
        "media": [
            {"kind": one.kind, "url": one.url, "bytes": one.bytes} for one in made.reply.media
        ],
        "message": message.id if message is not None else None,
        "policy": message.policy if message is not None else None,
        "recipient": recipient,
        "address": made.address,
        "at": rfc3339(made.at),
        "session_until": rfc3339(until) if until is not None else None,
    }
    if message is not None:
        queue_reply(context, message, made.channel, made.reply.choice)
    subject = message.id if message is not None else recipient or UNKNOWN
    trace = None
    if entry is not None and (share := context.rules.trace_share) is not None:
        trace = str(message_context(entry.message.id, entry.event, share))
    if recipient is None:
        log.info("replies.of_unknown", channel=made.channel, address=made.address)
    if context.rules.emits_statuses:
        write_status(context, REPLY, subject, recipient or made.address, data, trace)
    if REPLY in context.rules.inside and recipient is not None:
        happen(context, f"{made.id}/{REPLY}", REPLY, recipient, data, message, trace)
    return data


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


def queue_end(context: BatchContext, before: Message, after: Message) -> None:
    """Have the journey that sent a message know that it has ended, or has ended otherwise."""
    if after.journey is not None and after.terminal and after.status != before.status:
        fact = MessageEnded(after.id, str(after.status), after.succeeded_by)
        context.inside.append(QueuedFact(after.journey, fact))


def queue_reply(context: BatchContext, message: Message, channel: str, choice: str | None) -> None:
    """
    Have the journey that sent a message know of a reply, before the end of the message that may
    have followed from it: what comes next may depend on the reply.
    """
    if message.journey is not None:
        fact = MessageReplied(message.id, channel, choice)
        context.inside.appendleft(QueuedFact(message.journey, fact))


def write_status(
    context: BatchContext,
    what: str,
    subject: str,
    recipient: str,
    data: Mapping[str, Any],
    trace: str | None = None,
) -> None:
    """Add a status event to the outbox."""
    write_event(context, PREFIX + what, subject, recipient, data, trace)


def write_event(
    context: BatchContext,
    type: str,
    subject: str,
    recipient: str,
    data: Mapping[str, Any],
    trace: str | None = None,
) -> None:
    """Add an event of any type to the outbox."""
    id = context.new_id()
    body = event_body(id, type, subject, context.now, data)
    if trace is not None:
        body[TRACEPARENT] = trace
    context.work.changes.outbox.append(NewStatusEvent(id, recipient, orjson.dumps(body)))


def status_body(
    id: str, what: str, subject: str, now: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The CloudEvent of one change; ``what`` is its type without the prefix."""
    return event_body(id, PREFIX + what, subject, now, data)


def event_body(
    id: str, type: str, subject: str, now: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    """A CloudEvent of ours."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": SOURCE,
        "type": type,
        "subject": subject,
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "data": data,
    }
