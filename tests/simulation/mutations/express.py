"""Bugs in what leaves in the transaction that made it ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.dispatch.rates import FREE, Rate, Token
from orchestrator.dispatch.sends import Send
from orchestrator.engine.batch import Decided
from orchestrator.engine.express import Departures
from tests.simulation.mutations.registry import Replacement, bug


@bug
def express_call_before_its_commit() -> Sequence[Replacement]:
    """What leaves at once is called when it is decided, not when its intent is durable."""
    original = Departures._send

    def send(self: Any, one: Decided) -> None:
        original(self, one)
        leaving, self._leaving = self._leaving, []
        for departure, applied in leaving:
            departure.leave(applied)

    return [(Departures, "_send", send)]


@bug
def express_without_a_token() -> Sequence[Replacement]:
    """What leaves at once does not ask the provider's rate."""

    def take_now(self: Rate, urgent: bool) -> Token | None:
        return FREE

    return [(Rate, "take_now", take_now)]


@bug
def express_keeps_the_slot_of_a_failed_batch() -> Sequence[Replacement]:
    """A batch fails, and the slots of what was to leave with it are never free again."""

    def stay(self: Send) -> None:
        return None

    return [(Send, "stay", stay)]
