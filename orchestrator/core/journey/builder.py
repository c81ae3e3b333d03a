"""
The working copy of one decision about a journey: a run that may change, and the effects of its
changes. Only ``decide`` uses it; nobody outside ever sees a run half changed.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.journey.effects import EmitJourneyStatus, EndMessages, JourneyEffect
from orchestrator.core.journey.inputs import JourneyInputs
from orchestrator.core.journey.journey import (
    ROUNDS,
    Journey,
    JourneyStep,
    RepeatStep,
    around,
    blocks,
    next_to,
    step_at,
)
from orchestrator.core.journey.state import (
    JOURNEY_LEGAL,
    JourneyReason,
    JourneyRun,
    JourneyStatus,
    WaitingFor,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Struct, field

MESSAGES_END_AS: dict[JourneyReason | None, Reason] = {
    JourneyReason.GOAL_REACHED: Reason.GOAL_MET,
    JourneyReason.ERASED: Reason.ERASED,
}
"""The reason of messages that end with their journey; ``cancelled`` otherwise."""


class IllegalJourneyMove(AssertionError):
    """The core tried to take a run where its table allows no way: a bug in the core."""


class JourneyBuilder(Struct):
    """
    ``changed`` are attributes that this decision has set: an expression must see them before they
    are stored.
    """

    journey: Journey
    run: JourneyRun
    inputs: JourneyInputs
    now: Instant
    effects: list[JourneyEffect] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    carried_out: list[str] = field(default_factory=list)
    changed: dict[str, Any] = field(default_factory=dict)

    def say(self, words: str) -> None:
        self.said.append(words)

    def step_here(self) -> JourneyStep | None:
        """The step where the run stands."""
        return step_at(self.journey, self.run.place)

    def value(self, expression: str, otherwise: Any = None) -> Any:
        """The value of an expression here; ``otherwise`` if it cannot be evaluated."""
        try:
            return self.inputs.value(expression, self.run, self.changed)
        except ValueError as error:
            self.say(f"{self.run.step}: {expression!r} cannot be evaluated: {error}")
            return otherwise

    def wait(self, waiting_for: WaitingFor, due_at: Instant | None = None) -> None:
        """Stand still at this step until ``due_at``, never past the deadline (None: until then)."""
        run = self.run
        run.waiting_for = waiting_for
        run.since = self.now
        run.due_at = run.deadline_at if due_at is None else min(due_at, run.deadline_at)

    def stop_waiting(self) -> None:
        self.run.waiting_for = ""
        self.run.since = None
        self.run.due_at = None

    def enter(self, block: str) -> None:
        """Go to the first step of a block of this step, or past this step if it is empty."""
        step = self.step_here()
        assert step is not None
        if dict(blocks(step))[block]:
            self.stop_waiting()
            self.run.place = f"{self.run.place}.{block}.0"
        else:
            self.go_past()

    def go_past(self) -> None:
        """Go to whatever comes after this step; after the last one the journey is completed."""
        self.stop_waiting()
        run, path = self.run, self.run.place
        while True:
            following = next_to(self.journey, path)
            if following is not None:
                run.place = following
                return
            outer = around(path)
            if outer is None:
                self.end(JourneyStatus.COMPLETED)
                return
            step = step_at(self.journey, outer)
            if isinstance(step, RepeatStep):
                finished = run.rounds.get(outer, 0) + 1
                if finished < step.times:
                    run.rounds[outer] = finished
                    run.place = f"{outer}.{ROUNDS}.0"
                    return
                run.rounds.pop(outer, None)
            path = outer

    def move_status(self, status: JourneyStatus) -> None:
        """Move the run along ``JOURNEY_LEGAL`` and emit its new status."""
        run = self.run
        if status not in JOURNEY_LEGAL[run.status]:
            raise IllegalJourneyMove(f"{run.id}: status {run.status} cannot become {status}")
        run.status = status
        self.effects.append(EmitJourneyStatus(f"journey.{status}"))

    def end(
        self, status: JourneyStatus, reason: JourneyReason | None = None, detail: str = ""
    ) -> None:
        """
        End the run. Its messages that are still under way end with it, unless all steps are done.
        """
        run = self.run
        self.stop_waiting()
        if run.open and status is not JourneyStatus.COMPLETED:
            as_reason = MESSAGES_END_AS.get(reason, Reason.CANCELLED)
            self.effects.append(EndMessages(tuple(run.open), as_reason))
        run.reason = reason
        run.reason_detail = detail
        run.finished_at = self.now
        self.move_status(status)
        self.say(f"{status}{f': {reason}' if reason else ''}{f' {detail}' if detail else ''}")
