"""Expressions of policies, each compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.render import Conditions


class Evaluator:
    """Raises ``ConditionError`` (a ``ValueError``) where an expression cannot be evaluated."""

    def __init__(self) -> None:
        self._conditions = Conditions()
        self._compiled: dict[str, Any] = {}

    def __call__(self, expression: str, scope: Mapping[str, Any]) -> Any:
        compiled = self._compiled.get(expression)
        if compiled is None:
            compiled = self._compiled[expression] = self._conditions.compile(expression)
        return compiled.evaluate(scope)
