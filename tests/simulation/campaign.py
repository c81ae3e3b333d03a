"""Many seeds, over several processes of the machine, until all are done; what each came to."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.checks import broken
from tests.simulation.world import live

CHUNK = 5


@dataclass(frozen=True, slots=True)
class SeedVerdict:
    """
    ``broken``: the promises that were; ``hours``: simulated; ``trace``: a hash of all that
    happened.
    """

    seed: int
    broken: tuple[str, ...]
    hours: float
    trace: str


def judge(seed: int) -> SeedVerdict:
    """One run and its checks. A run that cannot even be finished breaks P1."""
    try:
        run = live(seed)
    except (Exception, asyncio.CancelledError):  # a loop that was cancelled under its process, too
        return SeedVerdict(
            seed, (f"P1 the run itself broke: {traceback.format_exc(limit=-4)}",), 0.0, ""
        )
    return SeedVerdict(seed, tuple(broken(run)), run.hours, run.ledger.trace())


def seldom_collect() -> None:
    """Look for reference cycles seldom: a twelfth of a run's time, and a run leaves few."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def judge_all(seeds: Iterable[int], jobs: int) -> Iterator[SeedVerdict]:
    """The verdicts in the order of the seeds; with more than one job, from as many processes."""
    if jobs <= 1:
        yield from map(judge, seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=seldom_collect) as pool:
        yield from pool.map(judge, seeds, chunksize=CHUNK)


@dataclass(slots=True)
class CampaignTotals:
    """The sum of a campaign so far."""

    began: float
    runs: int = 0
    hours: float = 0.0
    failed: int = 0
    traces: hashlib._Hash = field(default_factory=hashlib.sha256)

    @classmethod
    def start(cls) -> CampaignTotals:
        return cls(time.monotonic())

    def add(self, verdict: SeedVerdict) -> None:
        self.runs += 1
        self.hours += verdict.hours
        self.failed += bool(verdict.broken)
        self.traces.update(verdict.trace.encode())

    def summary(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-9)
        return (
            f"{self.runs} seeds, {self.failed} broken, {self.hours:.0f} simulated hours in"
            f" {seconds:.0f} s: {self.hours / seconds:.1f} simulated hours per real second"
        )

    def trace(self) -> str:
        """
        The hash of all traces so far: the same on every machine and over however many processes.
        """
        return self.traces.hexdigest()
