"""Bugs in what leaves in the transaction that made it ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.effects import EmitStatus
from orchestrator.engine import express
from orchestrator.engine.batch import Decided
from orchestrator.engine.express import Departures
from tests.simulation.mutations.registry import Replacement, bug


@bug()
def express_call_before_its_commit() -> Sequence[Replacement]:
    """What leaves at once is called when it is decided, not when its intent is durable."""
    original = Departures._send

    def send(self: Any, one: Decided) -> None:
        original(self, one)
        leaving, self._leaving = self._leaving, []
        for departure, applied in leaving:
            departure.leave(applied)

    return [(Departures, "_send", send)]


@bug(seed=264)
def express_after_a_decision_that_asked_nothing() -> Sequence[Replacement]:
    """A provider's turn after another's is taken for one that the gates have just let pass."""

    def asked(decision: Any, run: Any) -> bool:
        return all(isinstance(effect, EmitStatus) for effect in decision.effects)

    return [(express, "just_asked", asked)]
