"""
Steps that leave in the transaction that made them ready.

    fact ─► decide: ready ─► slot and token in hand? render ─► Prepared ─► decide: intent ─► commit

Acceptance and intent are then one commit, and the message is in no backlog in between. Whatever
cannot leave at once (no slot, no token, a shut provider, several devices, an OTP on its way) waits
in the backlog. ``decide`` decides both facts; nothing else may be decided about the message in
between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.core.cascade.decide import Decision
from orchestrator.core.effects import EmitStatus
from orchestrator.core.facts import Prepared
from orchestrator.core.message import Run
from orchestrator.core.values import replace
from orchestrator.engine.applying import apply_fact
from orchestrator.engine.batch import BatchContext, Decided
from orchestrator.engine.commands import FactApplied


class Departure(Protocol):
    """A rendered step with its slot and its token, until its batch is committed or fails."""

    @property
    def fact(self) -> Prepared:
        """What the core decides about."""

    def leave(self, applied: FactApplied) -> None:
        """The intent is committed: make the call."""

    def stay(self) -> None:
        """The batch failed: give slot and token back."""


Express = Callable[[Decided, Run], Departure | None]
"""Prepares a ready run of the newest decision about a message; None leaves it to the backlog."""


def just_asked(decision: Decision, run: Run) -> bool:
    """
    Whether a decision has asked the gates about this very run, and none of its effects (a cap given
    back, an opt-out) may have changed what they say. A provider's turn that comes after another's
    asks nothing.
    """
    return any(check.step == run.step for check in decision.checks) and all(
        isinstance(effect, EmitStatus) for effect in decision.effects
    )


class Departures:
    """The steps that leave with one batch."""

    def __init__(self, express: Express, context: BatchContext) -> None:
        self._express = express
        self._context = context
        self._decided = 0
        self._leaving: list[tuple[Departure, FactApplied]] = []

    def look(self) -> None:
        """Let what the last command made ready leave at once."""
        decided = self._context.decided
        since, self._decided = self._decided, len(decided)
        for one in decided[since:]:
            if one.decision.message.ready():
                self._send(one)
        self._decided = len(decided)

    def _send(self, one: Decided) -> None:
        entry = self._context.work.messages.get(one.decision.message.id)
        if entry is None or entry.message is not one.decision.message:
            return  # a later command of the batch has decided about it since
        for run in one.decision.message.ready():
            departure = self._express(one, run)
            if departure is None:
                return
            fact, inputs = departure.fact, None
            if self._context.decided[-1] is one and just_asked(one.decision, run):
                fact, inputs = replace(fact, at_once=True), one.decision.inputs
            try:
                applied = apply_fact(self._context, entry, fact, inputs=inputs)
            except BaseException:
                departure.stay()
                raise
            self._leaving.append((departure, applied))
            one = self._context.decided[-1]

    def leave(self) -> None:
        """The batch is committed."""
        for departure, applied in self._leaving:
            departure.leave(applied)

    def stay(self) -> None:
        """The batch failed."""
        for departure, _ in self._leaving:
            departure.stay()
