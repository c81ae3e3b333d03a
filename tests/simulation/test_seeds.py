"""
The promises, kept for every drawn seed; and the proof that a broken one would be
noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.planted import hunt
from tests.support.measured import MEASURED

QUICKLY = (
    "unknown_retried",
    "gates_asked_only_once",
    "late_wait_after_read",
    "redelivered_event_counts_as_new",
)
SEEDS, CHUNK = 100, 25
FOLDER = Path(__file__).parent
Record = Callable[[str, object], None]


def simulator(*arguments: str, **env: str) -> str:
    """Run the simulator and return its output; its exit code must be 0."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **env}
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    return found.stdout


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_no_promise_is_broken_under_any_of_a_hundred_seeds(
    first: int, record_property: Record
) -> None:
    """In pieces of a size that leaves no worker behind the others; each is one process's work."""
    printed = simulator("--first", str(first), "--seeds", str(CHUNK), "--jobs", "1").splitlines()[
        -1
    ]
    assert f"{CHUNK} seeds, 0 broken" in printed
    record_property(
        MEASURED, f"seeds {first} to {first + CHUNK - 1}: {printed.partition(', trace')[0]}"
    )


def once_broken() -> list[tuple[int, str]]:
    """The seeds of ``seeds.txt`` with their sentences."""
    lines = (FOLDER / "seeds.txt").read_text().splitlines()
    found = [line.partition("  ") for line in lines if line and not line.startswith("#")]
    return [(int(seed), sentence.strip()) for seed, _, sentence in found]


@pytest.mark.parametrize(
    ("seed", "sentence"), [pytest.param(*one, id=str(one[0])) for one in once_broken()]
)
def test_a_seed_that_was_broken_once_is_whole(seed: int, sentence: str) -> None:
    assert sentence.endswith(".")
    assert "1 seeds, 0 broken" in simulator("--first", str(seed), "--seeds", "1", "--jobs", "1"), (
        sentence
    )


def test_seeds_take_the_same_steps_in_every_process() -> None:
    """
    Neither how strings are hashed there, nor which seeds were run there before, may show in what
    happens.
    """
    runs = [
        simulator("--first", "1", "--seeds", "24", "--jobs", jobs, PYTHONHASHSEED=jobs)
        for jobs in ("1", "2")
    ]
    traces = {printed.rsplit("trace ", 1)[1] for printed in runs}
    assert len(traces) == 1
    assert simulator("--seed", "12", "--trace") != simulator("--seed", "13", "--trace")


@pytest.mark.parametrize("bug", QUICKLY)
def test_a_bug_that_is_planted_is_noticed(bug: str) -> None:
    assert hunt(bug, 30).seed is not None
