"""Expressions of policies and journeys, each compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.render import Conditions
from orchestrator.render.conditions import JOURNEY_NAMES, NAMES


class Evaluator:
    """Raises ``ConditionError`` (a ``ValueError``) where an expression cannot be evaluated."""

    def __init__(self) -> None:
        self._conditions = Conditions()
        self._compiled: dict[str, Any] = {}
        self._of_journeys: dict[str, Any] = {}

    def __call__(self, expression: str, scope: Mapping[str, Any]) -> Any:
        known = self._of_journeys if "journey" in scope else self._compiled
        compiled = known.get(expression)
        if compiled is None:
            names = JOURNEY_NAMES if known is self._of_journeys else NAMES
            compiled = known[expression] = self._conditions.compile(expression, names)
        return compiled.evaluate(scope)
