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
        began = before.at if before is not None and before.holds(context.now) else context.now
        row = PauseRow(command.kind, command.name, began, command.until, command.why)
        context.work.put_pause(row)
        return row


class EndPauseHandler(Handler[EndPause]):
    def needs(self, needs: Needs, command: EndPause) -> None:
        needs.rows.pausing = True

    def handle(self, context: BatchContext, command: EndPause) -> PauseRow | None:
        """End it now; None if there is none to end."""
        before = context.work.pause(command.kind, command.name)
        if before is None or not before.holds(context.now):
            return None
        row = before._replace(resumed_at=context.now)
        context.work.put_pause(row)
        return row
