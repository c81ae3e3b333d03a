"""The promises, kept through whatever the seeds draw; and the proof that a broken one would be noticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.planted import hunt

QUICKLY = ("unknown_retried", "gates_asked_only_once", "late_wait_after_read", "redelivered_event_counts_as_new")
JOBS = 2


def simulator(*arguments: str, **env: str) -> str:
    """What the simulator prints; its exit code must be 0."""
    command = [sys.executable, "-m", "orchestrator.simulator", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    return found.stdout


def test_no_promise_is_broken_under_some_dozens_of_seeds() -> None:
    assert "60 seeds, 0 broken" in simulator("--first", "1", "--seeds", "60", "--jobs", str(JOBS))


def test_seeds_take_the_same_steps_in_every_process() -> None:
    """Neither how strings are hashed there, nor which seeds were run there before, may show in what happens."""
    runs = [simulator("--first", "1", "--seeds", "24", "--jobs", jobs, PYTHONHASHSEED=jobs) for jobs in ("1", "2")]
    traces = {told.rsplit("trace ", 1)[1] for told in runs}
    assert len(traces) == 1
    assert simulator("--seed", "12", "--trace") != simulator("--seed", "13", "--trace")


@pytest.mark.parametrize("bug", QUICKLY)
def test_a_bug_that_is_planted_is_noticed(bug: str) -> None:
    assert hunt(bug, 30).seed is not None
