"""The handler of each command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    RecordWebhook,
)
from orchestrator.engine.handlers import events, messages, receipts, recipients
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import NotLoaded, UnitOfWork

HANDLERS: Mapping[type[Command], Handler[Any]] = {
    Publish: events.PublishHandler(),
    ApplyFact: messages.ApplyFactHandler(),
    Cancel: messages.CancelHandler(),
    DeadLetter: messages.DeadLetterHandler(),
    **receipts.ITEMS,
    RecordWebhook: receipts.WebhookHandler(),
    PutRecipient: recipients.PutRecipientHandler(),
    PutConsents: recipients.PutConsentsHandler(),
    OptOut: recipients.OptOutHandler(),
    Erase: recipients.EraseHandler(),
}


def ask_for_addresses(needs: Needs, command: Command, work: UnitOfWork) -> None:
    """Ask for what a command needs in the second stage."""
    try:
        HANDLERS[type(command)].needs_addresses(needs, command, work)
    except NotLoaded as error:
        raise error.by(command) from None


def handle(context: BatchContext, command: Command) -> Any:
    """The answer to a command. Raises what its handler does."""
    try:
        return HANDLERS[type(command)].handle(context, command)
    except NotLoaded as error:
        raise error.by(command) from None
