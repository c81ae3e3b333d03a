"""Which handler has which command."""

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
from orchestrator.engine.unit_of_work import NotLoaded

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


def handle(context: BatchContext, command: Command) -> Any:
    """The answer to a command. Raises what its handler does."""
    try:
        return HANDLERS[type(command)].handle(context, command)
    except NotLoaded as error:
        raise NotLoaded(error.kind, error.key, type(command).__name__) from error
