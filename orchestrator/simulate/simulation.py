"""
A simulation: several runs over the same events, each with its own random draws; two versions
that are compared get the same draws.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator.configuration.loading import Configuration
from orchestrator.core.policy import Policy
from orchestrator.simulate.as_it_was import AsItWas, beside, comparable, real_figures
from orchestrator.simulate.behaviour import Behaviour
from orchestrator.simulate.changes import Change, ChangeOver, changes, changes_over
from orchestrator.simulate.event_file import EventFile
from orchestrator.simulate.outcomes import MessageOutcome, OutcomeKey
from orchestrator.simulate.statistics import (
    Differences,
    Figure,
    Figures,
    Group,
    Interval,
    count_by_group,
    differences_over,
    interval,
    over_runs,
)
from orchestrator.simulate.version_run import RunSpec, VersionRun
from orchestrator.simulate.workers import share_out
from orchestrator.virtual.content import Contents

GC_THRESHOLD = 100_000
COUNT_EVERY = 200


@dataclass(frozen=True)
class Version:
    """
    A configuration with its policies; ``label`` is its name for people, ``earlier`` is true for a
    past version that the current one is compared with.
    """

    label: str
    configuration: Configuration
    policies: Mapping[str, Policy]
    earlier: bool = False


class Assumption(NamedTuple):
    """A provider of which nothing is known, and how it is taken to behave."""

    provider: str
    channel: str
    text: str


@dataclass(frozen=True)
class SimulationPlan:
    """``reported`` are the names of the policies that are counted."""

    versions: tuple[Version, ...]
    event_file: EventFile
    behaviour: Behaviour
    reported: frozenset[str]
    seed: int = 1
    runs: int = 5

    def assumptions(self) -> list[Assumption]:
        """The providers that steps may use and of which nothing is known, by name."""
        found: dict[str, Assumption] = {}
        for version in self.versions:
            used = {step.channel for policy in version.policies.values() for step in policy.plan}
            for name, one in version.configuration.settings.providers.items():
                text = self.behaviour.assumption(name, one.channel)
                if text is not None and one.channel in used:
                    found[name] = Assumption(name, one.channel, text)
        return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class Findings:
    """
    ``figures`` by version in the plan's order; ``changes``, ``differences`` and ``costs_more``
    lead from the first version to the second. ``past`` is None where nothing was fitted.
    """

    figures: tuple[Mapping[Group, Mapping[Figure, Interval]], ...]
    changes: tuple[ChangeOver, ...]
    differences: Differences
    costs_more: Interval
    past: AsItWas | None = None


RunFigures = tuple[list[Mapping[Group, Figures]], dict[str, Change], Mapping[Group, Figures]]
"""By version; the changes between them; the messages that can be compared with the past."""


def simulate(
    plan: SimulationPlan, processes: int, progress: Callable[[int], None] = lambda events: None
) -> Findings:
    """
    Run everything. ``progress`` is called now and then with the number of events published since
    the last call.
    """
    counter = multiprocessing.get_context().Value("q", 0)
    contents: dict[int, Contents] = {}
    past = past_of(plan)

    def one_run(number: int) -> RunFigures:
        gc.set_threshold(GC_THRESHOLD)
        return run(plan, number, contents, counter, past)

    shown = 0

    def tick() -> None:
        nonlocal shown
        published = counter.value
        progress(published - shown)
        shown = published

    gc.collect()
    gc.freeze()
    results: dict[int, RunFigures] = dict(share_out(one_run, plan.runs, processes, tick))
    ordered = [results[number] for number in range(plan.runs)]
    figures = tuple(
        over_runs([result[0][place] for result in ordered]) for place in range(len(plan.versions))
    )
    compared = len(plan.versions) > 1
    return Findings(
        figures,
        changes_over([result[1] for result in ordered]),
        differences_over([result[0][0] for result in ordered], [result[0][1] for result in ordered])
        if compared
        else {},
        interval([sum(change.cost for change in result[1].values()) for result in ordered]),
        beside(real_figures(past[1]), [result[2] for result in ordered])
        if plan.behaviour.past is not None
        else None,
    )


Past = tuple[int, Mapping[OutcomeKey, MessageOutcome]]
"""The number of the version that was really run, and what became of its messages."""


def past_of(plan: SimulationPlan) -> Past:
    """The past of the version that shares most of it."""
    known = plan.behaviour.past or {}
    pasts = [comparable(known, version.policies, plan.reported) for version in plan.versions]
    place = max(range(len(pasts)), key=lambda place: len(pasts[place]))
    return place, pasts[place]


def run(
    plan: SimulationPlan, number: int, contents: dict[int, Contents], counter: Any, past: Past
) -> RunFigures:
    """Run every version once, and compare them."""
    published = 0

    def advance(events: int) -> None:
        nonlocal published
        published += events
        if published >= COUNT_EVERY:
            with counter.get_lock():
                counter.value += published
            published = 0

    outcomes = []
    for version in plan.versions:
        spec = RunSpec(
            version.configuration,
            version.policies,
            plan.reported,
            plan.event_file,
            plan.behaviour,
            plan.seed,
            number,
        )
        outcomes.append(
            VersionRun(
                spec, advance, contents.setdefault(id(version.configuration.templates), {})
            ).run()
        )
        gc.collect()  # a runner leaves cycles behind, as large as the file
    found = changes(outcomes[0], outcomes[1]) if len(outcomes) > 1 else {}
    again = [outcome for outcome in outcomes[past[0]] if outcome.key in past[1]]
    return [count_by_group(one) for one in outcomes], found, count_by_group(again)
