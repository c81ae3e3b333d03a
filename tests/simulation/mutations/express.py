"""Bugs in what leaves in the transaction that made it ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from orchestrator.core.message import Run
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.rates import FREE, Rate
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


@bug()
def express_without_a_rate_token() -> Sequence[Replacement]:
    """What leaves at once does not count for the provider's rate."""
    return [(Rate, "take_now", lambda self, urgent: FREE)]


@bug()
def express_keeps_its_slot() -> Sequence[Replacement]:
    """A step that could have left at once, but for its token, keeps the connection slot."""
    original = Dispatcher.express

    def express(self: Any, decided: Decided, run: Run) -> Any:
        with patch.object(ActiveProvider, "release", lambda provider, slots: None):
            return original(self, decided, run)

    return [(Dispatcher, "express", express)]
