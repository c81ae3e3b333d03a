"""Each command to its handler; all that a handler sees and changes is on its batch's desk."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from orchestrator.core import facts
from orchestrator.engine.applying import apply_fact
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    Command,
    DeadLetter,
    Erase,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
    UnknownMessage,
)
from orchestrator.engine.handlers import events as publishing
from orchestrator.engine.handlers import receipts as hearing
from orchestrator.engine.handlers import recipients as profiles
from orchestrator.stores.rows import DeadLetterRow, RawReceiptRow


def handle(context: BatchContext, command: Command) -> Any:
    """Each command to its handler."""
    match command:
        case Publish():
            return publishing.publish(context, command)
        case ApplyFact():
            return apply_fact(context, find(context, command.message), command.fact)
        case Cancel():
            return apply_fact(context, find(context, command.message), facts.Cancelled())
        case RecordReceipt():
            return hearing.hear_receipt(context, command)
        case RecordInbound():
            return hearing.hear_inbound(context, command)
        case RecordPreference():
            return hearing.hear_preference(context, command)
        case RecordWebhook():
            return take_webhook(context, command)
        case PutRecipient():
            return profiles.put_recipient(context, command)
        case PutConsents():
            return profiles.put_consents(context, command)
        case OptOut():
            return profiles.opt_out(context, command)
        case Erase():
            return profiles.erase(context, command)
        case DeadLetter():
            return dead_letter(context, command)


def take_webhook(context: BatchContext, command: RecordWebhook) -> None:
    """Keep it as it came, and hear what it says; what is said of somebody unknown is let go."""
    if command.body:
        context.work.changes.raw_receipts.append(
            RawReceiptRow(context.now, command.provider, command.body)
        )
    for one in command.said:
        with suppress(LookupError):
            handle(context, one)


def find(context: BatchContext, message: str) -> Any:
    entry = context.work.entries.get(message)
    if entry is None:
        raise UnknownMessage(message)
    return entry


def dead_letter(context: BatchContext, letter: DeadLetter) -> str:
    """Keep what could not be processed; its id."""
    id = context.new_id()
    why = (letter.origin, letter.reason, letter.detail)
    row = DeadLetterRow(id, context.now, *why, dict(letter.headers), letter.body)
    context.work.changes.dead_letters.append(row)
    return id
