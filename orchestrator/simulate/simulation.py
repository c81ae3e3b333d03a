"""
A simulation: several runs over the same events, each with chances of its own, and where two
versions are compared, both under the same chances.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.configuration.loading import Configuration
from orchestrator.core.policy import Policy
from orchestrator.simulate.behaviour import Habits
from orchestrator.simulate.changes import Change, ChangeOver, changes, changes_over
from orchestrator.simulate.event_file import Traffic
from orchestrator.simulate.performance import Performance, Play
from orchestrator.simulate.statistics import (
    Differences,
    Figure,
    Figures,
    Group,
    Interval,
    differences_over,
    interval,
    over_runs,
    tally,
)
from orchestrator.simulate.workers import share_out
from orchestrator.virtual.fast_runner import Contents

GC_THRESHOLD = 100_000
COUNT_EVERY = 200


@dataclass(frozen=True)
class Version:
    """
    A configuration with the policies that play in it; ``label`` is how people call it, ``earlier``
    says that it is what was before the one it is compared with.
    """

    label: str
    configuration: Configuration
    policies: Mapping[str, Policy]
    earlier: bool = False


@dataclass(frozen=True)
class Plan:
    """``reported`` are the names of the policies that are counted."""

    versions: tuple[Version, ...]
    traffic: Traffic
    habits: Habits
    reported: frozenset[str]
    seed: int = 1
    runs: int = 5


@dataclass(frozen=True)
class Findings:
    """
    By version, in the plan's order, the intervals of all figures; what changes from the first to
    the second, how much of each figure there is more, and what the second costs more altogether.
    """

    figures: tuple[Mapping[Group, Mapping[Figure, Interval]], ...]
    changes: tuple[ChangeOver, ...]
    differences: Differences
    costs_more: Interval


Run = tuple[list[Mapping[Group, Figures]], dict[str, Change]]


def simulate(
    plan: Plan, processes: int, progress: Callable[[int], None] = lambda events: None
) -> Findings:
    """
    Play everything. ``progress`` is told now and then how many events have been played since it was
    last told.
    """
    counter = multiprocessing.get_context().Value("q", 0)
    contents: dict[int, Contents] = {}

    def one_run(number: int) -> Run:
        gc.set_threshold(GC_THRESHOLD)
        return run(plan, number, contents, counter)

    told = 0

    def tick() -> None:
        nonlocal told
        played = counter.value
        progress(played - told)
        told = played

    gc.collect()
    gc.freeze()
    results: dict[int, Run] = dict(share_out(one_run, plan.runs, processes, tick))
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
    )


def run(plan: Plan, number: int, contents: dict[int, Contents], counter: Any) -> Run:
    """One run of every version, and what differs between them."""
    played = 0

    def advance(events: int) -> None:
        nonlocal played
        played += events
        if played >= COUNT_EVERY:
            with counter.get_lock():
                counter.value += played
            played = 0

    lives = []
    for version in plan.versions:
        play = Play(
            version.configuration,
            version.policies,
            plan.reported,
            plan.traffic,
            plan.habits,
            plan.seed,
            number,
        )
        lives.append(
            Performance(
                play, advance, contents.setdefault(id(version.configuration.templates), {})
            ).perform()
        )
        gc.collect()  # a stage leaves cycles behind, as large as the file is
    found = changes(lives[0], lives[1]) if len(lives) > 1 else {}
    return [tally(one) for one in lives], found
