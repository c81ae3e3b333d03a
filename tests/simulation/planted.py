"""
Planted bugs: does the simulator notice? A checker that cannot fail proves nothing.

Each is a mistake that a developer could make in this very code, put in by replacing a function
inside the simulated process for the time of a run. ``python -m tests.simulation.planted`` plants
them one after the other and prints which seed noticed, and what promise it said was broken; it ends
with 1 where one of them survives all seeds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from tests.simulation import mutations
from tests.simulation.campaign import judge, seldom_collect

SEEDS = 2_000
NOT_A_PROMISE = ("P1 an unexpected error", "P1 the run itself broke")
ERRORS_MAX = 50
"""A bug that raises errors in so many runs and breaks no promise does not do what it says."""


@dataclass(frozen=True, slots=True)
class Caught:
    """``seed`` is None where no seed noticed; ``promise`` is an error then, if there were any."""

    bug: str
    seed: int | None
    promise: str


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The production code with one bug in it."""
    patches = [patch.object(target, name, value) for target, name, value in mutations.BUGS[bug]()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()


def hunt(bug: str, seeds: int = SEEDS) -> Caught:
    """
    The first seed that notices a bug, with the promise that it finds broken; the seed that is known
    to notice it is tried before all others. Errors that the bug raises do not count.
    """
    known = mutations.NOTICED.get(bug)
    order = [*range(seeds)] if known is None else [known, *range(seeds)]
    errors: list[str] = []
    with planted(bug):
        for seed in order:
            broken = judge(seed).broken
            promises = [one for one in broken if not one.startswith(NOT_A_PROMISE)]
            if promises:
                return Caught(bug, seed, promises[0])
            errors += broken[:1]
            if len(errors) >= ERRORS_MAX:
                break
    return Caught(bug, None, errors[0] if errors else "")


def hunt_all(bugs: Sequence[str], jobs: int, seeds: int = SEEDS) -> Iterator[Caught]:
    """Each bug by itself, over several processes."""
    with ProcessPoolExecutor(jobs, initializer=seldom_collect) as pool:
        yield from pool.map(hunt, bugs, [seeds] * len(bugs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant them all; 1 where one survives."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.planted", description="Plant bugs, one at a time."
    )
    parser.add_argument("bugs", nargs="*", help="which (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    unknown = [bug for bug in given.bugs if bug not in mutations.BUGS]
    if unknown:
        parser.error(f"no such bug: {', '.join(unknown)}; there are: {', '.join(mutations.BUGS)}")
    survived = 0
    for caught in hunt_all(given.bugs or list(mutations.BUGS), given.jobs, given.seeds):
        report = (
            f"seed {caught.seed}: {caught.promise}"
            if caught.seed is not None
            else f"SURVIVED {given.seeds} seeds {caught.promise}".rstrip()
        )
        survived += caught.seed is None
        print(f"{caught.bug:<40} {report}", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
