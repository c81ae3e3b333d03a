"""Pauses of providers, channels and policies."""

from __future__ import annotations

from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import EndPause, StartPause
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.stores.rows import PauseRow


class StartPauseHandler(Handler[StartPause]):
    def needs(self, needs: Needs, command: StartPause) -> None:
        needs.rows.pausing = True

    def handle(self, context: BatchContext, command: StartPause) -> PauseRow:
        """Begin it, or change its end and its reason."""
        before = context.work.pause(command.kind, command.name)
        began, eased_at = context.now, before.eased_at if before is not None else None
        if before is not None and before.holds(context.now):
            began = before.at
            eased_at = context.now if command.until < before.until else eased_at
        row = PauseRow(command.kind, command.name, began, command.until, command.why, eased_at)
        context.work.put_pause(row)
        context.work.write_down(command.note)
        return row


class EndPauseHandler(Handler[EndPause]):
    def needs(self, needs: Needs, command: EndPause) -> None:
        needs.rows.pausing = True

    def handle(self, context: BatchContext, command: EndPause) -> PauseRow | None:
        """End it now; None if there is none to end."""
        before = context.work.pause(command.kind, command.name)
        if before is None:
            return None
        if not before.holds(context.now):
            context.work.put_pause(before)  # wakes all: the answer to the first resume may be lost
            return None
        row = before._replace(until=context.now, eased_at=context.now)
        context.work.put_pause(row)
        context.work.write_down(command.note)
        return row
