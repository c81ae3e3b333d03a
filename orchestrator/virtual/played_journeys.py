"""The journeys of a fast runner: their waits end exactly at their times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from orchestrator.core.journey.facts import WaitOver
from orchestrator.core.journey.state import JourneyRun
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import ApplyJourneyFact
from orchestrator.engine.handlers import handle


class PlayedJourneys:
    """
    ``at`` has something happen at an instant (UTC milliseconds) in the name of an id, ``act`` draws
    the consequences of what was decided. ``runs`` are all runs as they are now, by id, and
    ``carried_out`` the paths of the steps that each has carried out.
    """

    def __init__(
        self,
        context: BatchContext,
        at: Callable[[int, str, Callable[[], None]], None],
        act: Callable[[], None],
    ) -> None:
        self.runs: dict[str, JourneyRun] = {}
        self.carried_out: defaultdict[str, set[str]] = defaultdict(set)
        self._context = context
        self._at = at
        self._act = act

    def act(self) -> None:
        """Note the waits of what was decided since the last call, and forget who has ended."""
        decided, self._context.journeys_decided = self._context.journeys_decided, []
        for one in decided:
            run = self.runs[one.decision.run.id] = one.decision.run
            self.carried_out[run.id].update(
                step.partition("#")[0] for step in one.decision.carried_out
            )
            if run.terminal:
                running = self._context.work.journeys_of.get(run.recipient)
                if running is not None and run.id in running:
                    running.remove(run.id)
            elif run.due_at is not None and run.due_at != one.before.due_at:
                self._wake(run.id, run.due_at)

    def _wake(self, id: str, due_at: int) -> None:
        def wake() -> None:
            entry = self._context.work.journeys.get(id)
            if entry is not None and entry.run.due_at == due_at:
                handle(self._context, ApplyJourneyFact(id, WaitOver(due_at)))
                self._act()

        self._at(due_at, id, wake)
