"""Figures: their measured values, their bars, and the table that shows them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure must be at most, or at least, ``limit``; ``aim`` is what would be good."""

    at_most: bool
    limit: float
    aim: float | None = None

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        aim = f" (aim {number(self.aim)})" if self.aim is not None else ""
        return f"{'≤' if self.at_most else '≥'} {number(self.limit)}{aim}"


def at_most(limit: float, aim: float | None = None) -> Bar:
    return Bar(True, limit, aim)


def at_least(limit: float, aim: float | None = None) -> Bar:
    return Bar(False, limit, aim)


@dataclass(slots=True)
class Figure:
    """
    One line of the table: the median of ``values``, in ``unit``; without values, ``why_not`` says
    why, and ``absent`` whether it is because the machine lacks what is needed.
    """

    key: str
    what: str
    unit: str
    values: list[float] = field(default_factory=list)
    bar: Bar | None = None
    why_not: str = ""
    absent: bool = False

    def excuse(self, *others: Figure, otherwise: str = "") -> None:
        """Say that it was not measured for the reason that one of those it rests on was not."""
        reason = next((one for one in others if one.why_not), None)
        self.why_not = reason.why_not if reason is not None else otherwise
        self.absent = reason is not None and reason.absent

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def missed(self) -> bool:
        """
        Whether it has a bar and is on the wrong side of it. What was not measured is not on any
        side.
        """
        return self.bar is not None and self.value is not None and not self.bar.met(self.value)

    @property
    def unjudged(self) -> bool:
        """
        Whether it has a bar and no value, though this machine could have measured one.
        """
        return self.bar is not None and self.value is None and not self.absent

    def as_json(self) -> dict[str, Any]:
        bar = {"at_most" if self.bar.at_most else "at_least": self.bar.limit} if self.bar else None
        return {
            "key": self.key,
            "what": self.what,
            "unit": self.unit,
            "value": self.value,
            "values": self.values,
            "bar": bar,
            "missed": self.missed,
            "not_measured": self.why_not or None,
            "absent": self.absent,
        }


def number(value: float | None) -> str:
    """Three figures or so: 12 345, 123, 12.3, 0.123."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return (
        f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 0.1 or size == 0
        else f"{value:.4f}"
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the ordered ones do not exceed (nearest rank); 0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def table(groups: dict[str, list[Figure]]) -> str:
    """All figures, group by group, in columns."""
    rows: list[tuple[str, str, str, str, str]] = []
    for group, figures in groups.items():
        rows.append((f"── {group}", "", "", "", ""))
        for one in figures:
            if one.value is None:
                rows.append((f"   {one.what}", "-", one.unit, "", f"not measured: {one.why_not}"))
                continue
            spread = (
                f"{number(min(one.values))} … {number(max(one.values))}"
                if len(one.values) > 1
                else ""
            )
            bar = f"{one.bar}  {'MISSED' if one.missed else 'met'}" if one.bar else ""
            rows.append((f"   {one.what}", number(one.value), one.unit, spread, bar))
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else [0] * 4
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:<{widths[2]}}  {row[3]:<{widths[3]}}"
        f"  {row[4]}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)
