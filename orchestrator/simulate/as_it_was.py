"""
The past as it was, beside what the simulation makes of the same messages.

Only messages that are in the store and among the simulated events, under the same version of their
policy, can be compared. Where the past itself is not reproduced, a prediction is off as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.policy import Policy
from orchestrator.simulate.outcomes import MessageOutcome, OutcomeKey
from orchestrator.simulate.statistics import (
    Figure,
    Figures,
    Group,
    Interval,
    count_by_group,
    over_runs,
)

EVERYTHING: Group = ("all", "")
POINTS_MAX = 0.03
"""How far a share of the messages may be off before the report says that it is."""
COST_MAX = 0.05
"""The same of the cost, as a share of it."""
NOTHING = Interval(0, 0, 0)


@dataclass(frozen=True)
class AsItWas:
    """``real`` figures and ``simulated`` ones of the same messages, altogether and by policy."""

    real: Mapping[Group, Figures]
    simulated: Mapping[Group, Mapping[Figure, Interval]]

    @property
    def messages(self) -> int:
        return round(self.real.get(EVERYTHING, {}).get(("total", "messages"), 0))

    def figures(self, group: Group) -> Iterator[tuple[Figure, float, Interval]]:
        """Share reached, cost, sends and successes by channel: what was real, what simulated."""
        real, simulated = self.real.get(group, {}), self.simulated.get(group, {})
        names = [("total", "reach"), ("total", "cost")]
        for section in ("sends", "reached_by"):
            names += sorted(name for name in {**real, **simulated} if name[0] == section)
        for name in names:
            yield name, real.get(name, 0.0), simulated.get(name, NOTHING)

    def misses(self) -> Iterator[tuple[Group, Figure, float, Interval]]:
        """The figures of the past that the simulation does not reproduce."""
        for group, real in self.real.items():
            messages = real.get(("total", "messages"), 0)
            for name, was, found in self.figures(group):
                most = {"reach": POINTS_MAX, "cost": COST_MAX * was}.get(
                    name[1] if name[0] == "total" else "", POINTS_MAX * messages
                )
                if abs(was - found.median) > most and not found.low <= was <= found.high:
                    yield group, name, was, found


def comparable(
    past: Mapping[OutcomeKey, MessageOutcome], policies: Mapping[str, Policy], names: frozenset[str]
) -> dict[OutcomeKey, MessageOutcome]:
    """The past of the policies of these names that were then what they are now."""
    return {
        key: outcome
        for key, outcome in past.items()
        if outcome.policy in names
        and outcome.policy in policies
        and policies[outcome.policy].version == outcome.version
    }


def by_policy(figures: Mapping[Group, Figures]) -> dict[Group, Figures]:
    return {group: found for group, found in figures.items() if group[0] in ("all", "policy")}


def real_figures(past: Mapping[OutcomeKey, MessageOutcome]) -> dict[Group, Figures]:
    """The figures of what really happened."""
    return by_policy(count_by_group(past.values()))


def beside(real: Mapping[Group, Figures], runs: Sequence[Mapping[Group, Figures]]) -> AsItWas:
    """What really happened beside the same messages of several runs."""
    return AsItWas(real, over_runs([by_policy(run) for run in runs]))
