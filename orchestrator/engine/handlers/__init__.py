"""The handler of each command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import (
    ApplyFact,
    ApplyJourneyFact,
    Cancel,
    Command,
    Conflict,
    Converse,
    DeadLetter,
    EndPause,
    Erase,
    Forget,
    MoveJourney,
    OpenLinks,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    RecordWebhook,
    RestoreTimer,
    RetryMessage,
    StartPause,
)
from orchestrator.engine.handlers import (
    conversation,
    events,
    journeys,
    links,
    messages,
    pauses,
    receipts,
    recipients,
    retries,
)
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.engine.not_loaded import NotLoaded
from orchestrator.engine.pace import Pace
from orchestrator.engine.unit_of_work import UnitOfWork

HANDLERS: Mapping[type[Command], Handler[Any]] = {
    Publish: events.PublishHandler(),
    ApplyFact: messages.ApplyFactHandler(),
    Cancel: messages.CancelHandler(),
    RestoreTimer: messages.RestoreTimerHandler(),
    ApplyJourneyFact: journeys.ApplyJourneyFactHandler(),
    MoveJourney: journeys.MoveJourneyHandler(),
    RetryMessage: retries.RetryHandler(),
    DeadLetter: messages.DeadLetterHandler(),
    **receipts.ITEMS,
    RecordWebhook: receipts.WebhookHandler(),
    PutRecipient: recipients.PutRecipientHandler(),
    PutConsents: recipients.PutConsentsHandler(),
    Converse: conversation.ConverseHandler(),
    OpenLinks: links.OpenLinksHandler(),
    OptOut: recipients.OptOutHandler(),
    Erase: recipients.EraseHandler(),
    Forget: recipients.ForgetHandler(),
    StartPause: pauses.StartPauseHandler(),
    EndPause: pauses.EndPauseHandler(),
}


async def ask_for_addresses(needs: Needs, command: Command, work: UnitOfWork, pace: Pace) -> None:
    """Ask for what a command needs in the second stage; the loop may run meanwhile."""
    try:
        for _ in HANDLERS[type(command)].ask_in_parts(needs, command, work):
            await pace.pause()
    except NotLoaded as error:
        raise error.by(command) from None


def handle(context: BatchContext, command: Command) -> Any:
    """The answer to a command. Raises what its handler does."""
    return HANDLERS[type(command)].handle(context, command)


async def handle_at_pace(context: BatchContext, command: Command, pace: Pace) -> Any:
    """The answer to a command, or the refusal that is its answer; the loop may run meanwhile."""
    parts = HANDLERS[type(command)].handle_in_parts(context, command)
    try:
        while True:
            next(parts)
            await pace.pause()
    except StopIteration as end:
        return end.value
    except (LookupError, Conflict) as refusal:
        return refusal
    except NotLoaded as error:
        raise error.by(command) from None
