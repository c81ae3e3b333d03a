"""
Statistics of outcomes: one run's figures, and each figure's interval over several runs.

Every run draws its own luck, its own people where nothing is known of them, and its own tendencies
within the errors of what was learnt. So the runs are samples of what may really happen, and the
interval in which the next sample lies with a probability of 90 % is a prediction of it: mean ± t ·
deviation · √(1 + 1/runs), with Student's t (Hahn and Meeker 1991, "Statistical Intervals", 4.7).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, median, variance

from orchestrator.core.message import Status
from orchestrator.simulate.outcomes import MessageOutcome

MILLIONTHS = 1_000_000
P95_SIGMAS = NormalDist().inv_cdf(0.95)
USUAL_RUNS = 4
STUDENT = (6.3138, 2.9200)
Figure = tuple[str, str]
"""
``(section, name)``: ("total", "messages"), ("sends", "viber"), ("rules", "quiet_hours night"), …
"""
SECTIONS = ("total", "sends", "reached_by", "ended", "skipped", "rules", "flags", "broken")
COUNTS = ("sends", "reached_by", "ended", "skipped", "flags")
REACH: Figure = ("total", "reach")
UNDEFINED = ("reach", "median_ms", "p95_ms", "cost_per_reached")
"""
Figures of the section "total" that a run without any message, or without any reached one, does not
have.
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """
    The median of several runs, and between what reality lies with a probability of 90 %. One run
    alone says nothing of that: all three are the same.
    """

    low: float
    median: float
    high: float


def interval(
    values: Sequence[float], least: float = -math.inf, most: float = math.inf, usual: float = 0
) -> Interval:
    """
    The interval that runs predict, never past ``least`` and ``most``. ``usual`` is the variance
    that such a figure has as a rule; it stands for ``USUAL_RUNS`` more runs, because a few runs may
    agree by chance.
    """
    middle, runs = median(values), len(values)
    if runs < 2 or (min(values) == max(values) and not usual):
        return Interval(middle, middle, middle)
    freedom = runs - 1 + (USUAL_RUNS if usual else 0)
    spread = ((runs - 1) * variance(values) + (freedom - runs + 1) * usual) / freedom
    half = student(freedom) * math.sqrt(spread * (1 + 1 / runs))
    centre = fmean(values)
    low, high = max(least, centre - half), min(most, centre + half)
    return Interval(min(low, middle), middle, max(high, middle))


def student(freedom: int) -> float:
    """
    The 95th percentile of Student's t (Abramowitz and Stegun 26.7.5; the first two exactly).
    """
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = P95_SIGMAS
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


@dataclass(slots=True)
class Count:
    """The figures of one group of outcomes."""

    figures: dict[Figure, float] = field(default_factory=dict)
    lags_ms: list[int] = field(default_factory=list)

    def add(self, section: str, name: str, amount: float = 1) -> None:
        key = (section, name)
        self.figures[key] = self.figures.get(key, 0) + amount

    def take(self, outcome: MessageOutcome) -> None:
        """Count one outcome."""
        self.add("total", "messages")
        self.add("total", "cost", outcome.cost / MILLIONTHS)
        for channel, _ in outcome.sends:
            self.add("sends", channel)
        if outcome.status == Status.SUCCEEDED.value:
            self.add("total", "reached")
            self.add("reached_by", outcome.by)
            self.lags_ms.append(outcome.reached_ms or 0)
        else:
            self.add("ended", f"{outcome.status} {outcome.reason}".strip())
        for channel, reason in outcome.skips:
            self.add("skipped", f"{channel} {reason}")
        for channel, what in outcome.broken:
            self.add("broken", f"{outcome.policy}, {channel}: {what}")
        for gate, rule in outcome.rules:
            self.add("rules", f"{gate} {rule}".strip())
        for flag in outcome.flags:
            self.add("flags", flag)

    def close(self) -> dict[Figure, float]:
        """All figures, with those that follow from others."""
        messages = self.figures.get(("total", "messages"), 0)
        reached = self.figures.setdefault(("total", "reached"), 0)
        if messages:
            self.figures["total", "reach"] = reached / messages
        if self.lags_ms:
            ordered = sorted(self.lags_ms)
            self.figures["total", "median_ms"] = median(ordered)
            self.figures["total", "p95_ms"] = ordered[
                min(len(ordered) - 1, int(len(ordered) * 0.95))
            ]
            self.figures["total", "cost_per_reached"] = (
                self.figures.get(("total", "cost"), 0) / reached
            )
        return self.figures


Figures = Mapping[Figure, float]
Group = tuple[str, str]
"""
``("all", "")``, ``("class", "promotional")``, ``("locale", "uk-UA")``, ``("policy", "survey")``.
"""


Differences = Mapping[Group, Mapping[Figure, Interval]]


def count_by_group(outcomes: Iterable[MessageOutcome]) -> dict[Group, dict[Figure, float]]:
    """The figures of one run, altogether and by class, locale and policy."""
    counts: dict[Group, Count] = {}
    for outcome in outcomes:
        groups = (
            ("all", ""),
            ("class", outcome.message_class),
            ("locale", outcome.locale or "unknown"),
            ("policy", outcome.policy),
        )
        for group in groups:
            found = counts.get(group)
            if found is None:
                found = counts[group] = Count()
            found.take(outcome)
    return {group: count.close() for group, count in counts.items()}


def over_runs(runs: Sequence[Mapping[Group, Figures]]) -> dict[Group, dict[Figure, Interval]]:
    """
    The interval of each figure over all runs. A figure that a run has not got was zero there, but
    for those that have no value without a message.
    """
    groups = dict.fromkeys(group for run in runs for group in run)
    found: dict[Group, dict[Figure, Interval]] = {}
    for group in sorted(groups):
        figures = [run.get(group, {}) for run in runs]
        names = sorted(
            {name for one in figures for name in one},
            key=lambda name: (SECTIONS.index(name[0]), name[1]),
        )
        values = {name: values_of(name, figures) for name in names}
        usual = usual_variances(values)
        found[group] = {
            name: interval(row, 0, 1 if name == REACH else math.inf, usual.get(name, 0))
            for name, row in values.items()
        }
    return found


def usual_variances(values: Mapping[Figure, Sequence[float]]) -> dict[Figure, float]:
    """
    The variances of counts: that of independent messages, times a factor that all counts have in
    common (a moderated variance, Smyth 2004).
    """
    messages = fmean(values.get(("total", "messages"), [0]))
    if len(values.get(REACH, ())) < 2 or not messages:
        return {}
    independent: dict[Figure, float] = {}
    for name, row in values.items():
        share = fmean(row) / messages
        if (name[0] in COUNTS or name == ("total", "reached")) and 0 < share < 1:
            independent[name] = messages * share * (1 - share)
    total = sum(independent.values())
    factor = sum(variance(values[name]) for name in independent) / total if total else 0.0
    reach = fmean(values[REACH])
    independent[REACH] = reach * (1 - reach) / messages
    return {name: factor * one for name, one in independent.items()}


def differences_over(
    before: Sequence[Mapping[Group, Figures]], after: Sequence[Mapping[Group, Figures]]
) -> Differences:
    """
    The change of each figure, run by run: both versions met the same people, so it is known far
    better than either figure.
    """
    pairs = list(zip(before, after, strict=True))
    found: dict[Group, dict[Figure, Interval]] = {}
    for group in sorted({group for pair in pairs for run in pair for group in run}):
        of_group = [(old.get(group, {}), new.get(group, {})) for old, new in pairs]
        for name in {name for old, new in of_group for name in (*old, *new)}:
            values = [
                value for old, new in of_group if (value := difference(name, old, new)) is not None
            ]
            if values:
                found.setdefault(group, {})[name] = interval(values)
    return found


def difference(name: Figure, old: Figures, new: Figures) -> float | None:
    """None where one of both has no such figure."""
    if name[0] == "total" and name[1] in UNDEFINED and not (name in old and name in new):
        return None
    return new.get(name, 0) - old.get(name, 0)


def values_of(name: Figure, runs: Sequence[Figures]) -> list[float]:
    if name[0] == "total" and name[1] in UNDEFINED:
        return [run[name] for run in runs if name in run]
    return [run.get(name, 0) for run in runs]
