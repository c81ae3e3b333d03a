"""Each command to its handler; all that a handler sees and changes is on its batch's desk."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from orchestrator.core import facts
from orchestrator.engine.applying import tell
from orchestrator.engine.batch import Desk
from orchestrator.engine.commands import (
    Cancel,
    Command,
    DeadLetter,
    Erase,
    HearInbound,
    HearPreference,
    HearReceipt,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    TakeWebhook,
    Tell,
    UnknownMessage,
)
from orchestrator.engine.handlers import events as publishing
from orchestrator.engine.handlers import receipts as hearing
from orchestrator.engine.handlers import recipients as profiles


def handle(desk: Desk, command: Command) -> Any:
    """Each command to its handler."""
    match command:
        case Publish():
            return publishing.publish(desk, command)
        case Tell():
            return tell(desk, find(desk, command.message), command.fact)
        case Cancel():
            return tell(desk, find(desk, command.message), facts.Cancelled())
        case HearReceipt():
            return hearing.hear_receipt(desk, command)
        case HearInbound():
            return hearing.hear_inbound(desk, command)
        case HearPreference():
            return hearing.hear_preference(desk, command)
        case TakeWebhook():
            return take_webhook(desk, command)
        case PutRecipient():
            return profiles.put_recipient(desk, command)
        case PutConsents():
            return profiles.put_consents(desk, command)
        case OptOut():
            return profiles.opt_out(desk, command)
        case Erase():
            return profiles.erase(desk, command)
        case DeadLetter():
            return bury(desk, command)


def take_webhook(desk: Desk, command: TakeWebhook) -> None:
    """Keep it as it came, and hear what it says; what is said of somebody unknown is let go."""
    if command.body:
        desk.book.changes.raw_receipts.append((desk.now, command.provider, command.body))
    for one in command.said:
        with suppress(LookupError):
            handle(desk, one)


def find(desk: Desk, message: str) -> Any:
    entry = desk.book.entries.get(message)
    if entry is None:
        raise UnknownMessage(message)
    return entry


def bury(desk: Desk, letter: DeadLetter) -> str:
    """Keep what could not be processed; its id."""
    id = desk.new_id()
    row = {
        "id": id,
        "at": desk.now,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "headers": dict(letter.headers),
        "body": letter.body,
    }
    desk.book.changes.dead_letters.append(row)
    return id
