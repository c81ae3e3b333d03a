"""Facts about one message, and what could not be processed at all."""

from __future__ import annotations

from orchestrator.core.facts import Answered, Cancelled, Due
from orchestrator.core.journey.facts import WaitOver
from orchestrator.core.outcomes import Accepted, InboxItem
from orchestrator.engine.applying import apply_fact, record_names
from orchestrator.engine.batch import BatchContext, QueuedFact
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    DeadLetter,
    FactApplied,
    RestoreTimer,
    UnknownMessage,
)
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.inbox import keep_item
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.rows import DeadLetterRow


class ApplyFactHandler(Handler[ApplyFact]):
    def needs(self, needs: Needs, command: ApplyFact) -> None:
        needs.rows.messages.add(command.message)

    def needs_addresses(self, needs: Needs, command: ApplyFact, work: UnitOfWork) -> None:
        needs.message_addresses(work, command.message)
        entry = work.messages.get(command.message)
        match command.fact:
            # receipts that name this reference may have come before this answer
            case Answered(attempt, Accepted(provider_id=str(reference))) if entry is not None:
                provider = entry.message.attempts[attempt].provider
                needs.addresses.references.add((provider, reference))

    def handle(self, context: BatchContext, command: ApplyFact) -> FactApplied:
        entry = find(context, command.message)
        match command.fact:
            case Answered(number, Accepted(known_as=names)) if names:
                attempt = entry.message.attempts[number]
                record_names(context, command.message, attempt, names)
        applied = apply_fact(context, entry, command.fact)
        match command.fact:
            case Answered(number, Accepted(item=InboxItem() as item)):
                keep_item(context, entry, number, item)
        return applied


class CancelHandler(Handler[Cancel]):
    def needs(self, needs: Needs, command: Cancel) -> None:
        needs.rows.messages.add(command.message)

    def needs_addresses(self, needs: Needs, command: Cancel, work: UnitOfWork) -> None:
        needs.message_addresses(work, command.message)

    def handle(self, context: BatchContext, command: Cancel) -> FactApplied:
        return apply_fact(context, find(context, command.message), Cancelled())


class RestoreTimerHandler(Handler[RestoreTimer]):
    def needs(self, needs: Needs, command: RestoreTimer) -> None:
        rows = needs.rows.journeys if is_journey(command.message) else needs.rows.messages
        rows.add(command.message)

    def needs_addresses(self, needs: Needs, command: RestoreTimer, work: UnitOfWork) -> None:
        if not is_journey(command.message):
            needs.message_addresses(work, command.message)

    def handle(self, context: BatchContext, command: RestoreTimer) -> bool:
        """Whether it was unfinished: then all its rows are there now."""
        if is_journey(command.message):
            return restore_journey(context, command.message)
        entry = find(context, command.message)
        if entry.message.terminal:
            return False
        entry.rows_lost = True
        due_at = entry.message.due_at
        apply_fact(context, entry, Due(context.now if due_at is None else due_at))
        return True


def restore_journey(context: BatchContext, id: str) -> bool:
    """Have a run's timer written again. Raises ``UnknownMessage``."""
    entry = context.work.journeys.get(id)
    if entry is None:
        raise UnknownMessage(id)
    if entry.run.terminal:
        return False
    entry.rows_lost = True
    if entry.run.due_at is not None:
        context.inside.append(QueuedFact(id, WaitOver(entry.run.due_at)))
    return True


def find(context: BatchContext, message: str) -> WorkingMessage:
    """A message of the batch. Raises ``UnknownMessage``."""
    entry = context.work.messages.get(message)
    if entry is None:
        raise UnknownMessage(message)
    return entry


class DeadLetterHandler(Handler[DeadLetter]):
    """Needs nothing: the store keeps what could not be processed as it came."""

    def handle(self, context: BatchContext, command: DeadLetter) -> str:
        """Store the letter and return its id."""
        id = context.new_id()
        why = (command.origin, command.reason, command.detail)
        row = DeadLetterRow(id, context.now, *why, dict(command.headers), command.body)
        context.work.changes.dead_letters.append(row)
        return id
