"""What a test says a decision about a journey finds when it looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.journey.state import JourneyRun


class Answers:
    """
    ``values`` by expression (an exception is raised); ``missing`` are policies that there are not.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        zone: str = "Europe/Kyiv",
        share: float = 0.0,
        missing: tuple[str, ...] = (),
    ) -> None:
        self.values = dict(values or {})
        self._zone, self._share, self._missing = zone, share, missing
        self.made = 0
        self.seen: list[Mapping[str, Any]] = []

    def zone(self) -> str:
        return self._zone

    def value(self, expression: str, run: JourneyRun, changed: Mapping[str, Any]) -> Any:
        self.seen.append(dict(changed))
        value = self.values.get(expression)
        if isinstance(value, Exception):
            raise value
        return value

    def share(self, of: str) -> float:
        return self._share

    def message_id(self, policy: str) -> str | None:
        if policy in self._missing:
            return None
        self.made += 1
        return f"m{self.made}"
