"""
What fails a simulation: ``--fail-if "reach < -1pp or cost > +5%"``.

    FIGURE < or > VALUE [or …]

A figure is ``reach``, ``cost``, ``messages``, ``reached``, ``cost_per_reached``, ``median`` or
``p95`` (time to reach), or a channel (sends on it). A value with a sign is the change from the
first version to the second: ``-1pp`` (percentage points of ``reach``), ``+5%`` (of what it was),
``+10m`` (times), ``+500``. A value without one is the figure itself under the last version:
``reach < 40%``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestrator.configuration.reading import suggestion
from orchestrator.primitives.durations import duration
from orchestrator.simulate.as_it_was import EVERYTHING
from orchestrator.simulate.simulation import Findings
from orchestrator.simulate.statistics import Figure, Interval
from orchestrator.virtual.spans import parse_span

CONDITION = re.compile(r"(?P<figure>[a-z_0-9]+)\s*(?P<compare>[<>])\s*(?P<value>\S+)")
VALUE = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>pp|%|)")
TOTALS = {
    "reach": "reach",
    "cost": "cost",
    "messages": "messages",
    "reached": "reached",
    "cost_per_reached": "cost_per_reached",
    "median": "median_ms",
    "p95": "p95_ms",
}
TIMES = ("median_ms", "p95_ms")
UNITS: Mapping[tuple[str, bool], tuple[str, ...]] = {
    ("reach", True): ("pp", "%"),
    ("reach", False): ("%",),
    ("time", True): ("%",),
    ("time", False): (),
    ("amount", True): ("", "%"),
    ("amount", False): ("",),
}
"""The units of a value, by the kind of its figure and whether it is a change."""
EXAMPLES = {
    "reach": "40%, -1pp or -5%",
    "time": "2h, +10m or +5%",
    "amount": "500, +50 or +5%",
}
EXAMPLE = 'write --fail-if "reach < -1pp or cost > +5%"'


class BadLimit(Exception):
    """A condition that cannot be read; the text says why and how to write it."""


@dataclass(frozen=True, slots=True)
class SimulationLimit:
    """``unit`` is ``pp``, ``%``, ``ms`` or "". ``change``: the value is a difference."""

    text: str
    figure: Figure
    above: bool
    value: float
    unit: str
    change: bool

    def crossed(self, before: Interval | None, after: Interval | None) -> float | None:
        """
        The value that crosses the limit, in its unit; None if none does. By the medians of the
        runs; a figure that a version does not have is 0.
        """
        old, new = (one.median if one is not None else 0.0 for one in (before, after))
        found = new
        if self.change:
            found = new - old
            if self.unit == "%":
                found = 0.0 if new == old else found / old * 100 if old else float("inf")
        elif self.unit == "%":
            found = new * 100
        if self.unit == "pp":
            found *= 100
        hit = found > self.value if self.above else found < self.value
        return found if hit else None

    def shown(self, found: float) -> str:
        """A value in the limit's unit, with a sign if it is a change."""
        if self.unit == "ms":
            sign = "-" if found < 0 else "+" if self.change else ""
            return f"{sign}{duration(round(abs(found)))}"
        return f"{found:{'+' if self.change else ''}.2f}{self.unit}"


def read_limits(text: str, channels: Collection[str], *, compared: bool) -> list[SimulationLimit]:
    """The conditions of a text, "" for none. Raises ``BadLimit``."""
    if not text.strip():
        return []
    return [read_limit(one.strip(), channels, compared) for one in re.split(r"\bor\b|,", text)]


def read_limit(text: str, channels: Collection[str], compared: bool) -> SimulationLimit:
    match = CONDITION.fullmatch(text)
    if match is None:
        raise BadLimit(f"--fail-if: {text!r} is no condition; {EXAMPLE}")
    name = match["figure"]
    if name not in TOTALS and name not in channels:
        known = [*TOTALS, *channels]
        fix = suggestion(name, known, f"there are {', '.join(known)}")
        raise BadLimit(f"--fail-if: there is no figure {name!r}; {fix}")
    figure: Figure = ("total", TOTALS[name]) if name in TOTALS else ("sends", name)
    value, unit, change = read_value(match["value"], figure)
    if change and not compared:
        raise BadLimit(
            f"--fail-if: {text!r} is about a change, and nothing is compared; add --against, or"
            " write the value without its sign"
        )
    return SimulationLimit(text, figure, match["compare"] == ">", value, unit, change)


def read_value(text: str, figure: Figure) -> tuple[float, str, bool]:
    """A value, its unit, and whether it is a change."""
    sign = text[0] if text[:1] in ("+", "-") else ""
    factor = -1 if sign == "-" else 1
    if figure[1] in TIMES and (span := parse_span(text.removeprefix(sign))) is not None:
        return factor * float(span), "ms", bool(sign)
    match = VALUE.fullmatch(text)
    kind = figure[1] if figure[1] == "reach" else "time" if figure[1] in TIMES else "amount"
    if match is None or match["unit"] not in UNITS[kind, bool(sign)]:
        raise BadLimit(f"--fail-if: {text!r} is no value of this figure; write {EXAMPLES[kind]}")
    return factor * float(match["number"]), match["unit"], bool(sign)


def crossed_limits(limits: Collection[SimulationLimit], findings: Findings) -> list[str]:
    """A line for each limit that the findings cross."""
    lines = []
    for limit in limits:
        first, last = findings.figures[0], findings.figures[-1]
        found = limit.crossed(figure_of(first, limit.figure), figure_of(last, limit.figure))
        if found is not None:
            what = "it changes by" if limit.change else "it is"
            lines.append(f"{limit.text}: {what} {limit.shown(found)}")
    return lines


def figure_of(
    figures: Mapping[tuple[str, str], Mapping[Figure, Interval]], name: Figure
) -> Interval | None:
    return figures.get(EVERYTHING, {}).get(name)
