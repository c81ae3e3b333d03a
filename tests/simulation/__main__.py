"""
The simulator's command line.

    python -m tests.simulation --seed 7              replay one run and print its story
    python -m tests.simulation --seed 7 --trace      only its options and the hash of its trace
    python -m tests.simulation --first 0 --seeds 2000 --jobs 2

Exit codes: 0 every promise was kept, 1 one was broken (its seed and the promise are named), 2
usage.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.campaign import CampaignTotals, judge, judge_all
from tests.simulation.checks import broken
from tests.simulation.options import draw
from tests.simulation.world import live

PROGRESS_SECONDS = 5.0
SHOWN_MAX = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="The deterministic simulator."
    )
    parser.add_argument("--seed", type=int, help="replay one run and print its story")
    parser.add_argument(
        "--trace",
        action="store_true",
        help="with --seed: print the hash of the run's trace, not its story",
    )
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds (default 0)")
    parser.add_argument("--seeds", type=int, default=2_000, help="how many seeds (default 2000)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    given = parser.parse_args(arguments)
    if given.trace and given.seed is None:
        parser.error("--trace needs --seed: it is the hash of one run")
    if given.seeds < 1 or given.jobs < 1:
        parser.error("--seeds and --jobs are at least 1")
    if given.seed is None:
        return many(given.first, given.seeds, given.jobs)
    return trace(given.seed) if given.trace else story(given.seed)


def story(seed: int) -> int:
    """One run, one line an event, and which promises it broke."""
    print(draw(seed).summary(), flush=True)
    run = live(seed)
    for line in run.ledger.lines:
        print(line)
    promises = broken(run)
    for promise in promises:
        print(f"BROKEN  {promise}")
    writes = len(run.ledger.writes)
    print(
        f"{len(run.stored)} messages, {writes} requests, {run.hours:.1f} hours, trace"
        f" {run.ledger.trace()}"
    )
    return 1 if promises else 0


def trace(seed: int) -> int:
    """The hash alone: the same wherever and whenever this seed is run."""
    print(draw(seed).summary(), flush=True)
    verdict = judge(seed)
    print(verdict.trace)
    return 1 if verdict.broken else 0


def many(first: int, count: int, jobs: int) -> int:
    """Many runs with their progress; the first broken ones in full."""
    print(f"seeds {first} to {first + count - 1}, {jobs} processes", flush=True)
    totals, shown_at = CampaignTotals.start(), time.monotonic()
    for verdict in judge_all(range(first, first + count), jobs):
        totals.add(verdict)
        if verdict.broken and totals.failed <= SHOWN_MAX:
            print(draw(verdict.seed).summary())
            for promise in verdict.broken[:SHOWN_MAX]:
                print(f"BROKEN  seed {verdict.seed}: {promise}", flush=True)
        if time.monotonic() - shown_at > PROGRESS_SECONDS:
            shown_at = time.monotonic()
            print(totals.summary(), flush=True)
    print(f"{totals.summary()}, trace {totals.trace()}")
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
