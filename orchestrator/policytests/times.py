"""
Times that a test expects: exact (``2m``), about (``~2m``) or at the latest (``by 2m``).

About is within a tenth of the span, and within a second of a short one.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.policy import SECOND_MS
from orchestrator.virtual.spans import parse_moment

ABOUT, LATEST = "~", "by "
SHARE = 10


@dataclass(frozen=True, slots=True)
class ExpectedTime:
    """Milliseconds after the test's event: the one that is written, and those that will do."""

    ms: int
    least: int
    most: int

    def holds(self, ms: int) -> bool:
        return self.least <= ms <= self.most


def read_time(text: str, now: int) -> ExpectedTime | None:
    """The time of ``2m``, ``~2m``, ``by 2m`` or an instant; None if it is none."""
    moment = parse_moment(text.removeprefix(LATEST).removeprefix(ABOUT).strip(), now)
    if moment is None:
        return None
    if text.startswith(LATEST):
        return ExpectedTime(moment, 0, moment)
    if text.startswith(ABOUT):
        around = max(abs(moment) // SHARE, SECOND_MS)
        return ExpectedTime(moment, moment - around, moment + around)
    return ExpectedTime(moment, moment, moment)
