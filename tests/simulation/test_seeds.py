"""The promises, kept through whatever the seeds draw."""

from __future__ import annotations

import subprocess
import sys


def seeds(first: int, count: int) -> str:
    """What the simulator says of so many runs; its exit code must be 0."""
    command = [sys.executable, "-m", "orchestrator.simulator", "--first", str(first), "--seeds", str(count), "--jobs", "2"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    return found.stdout


def test_no_promise_is_broken_under_some_dozens_of_seeds() -> None:
    assert " 0 broken" in seeds(1, 60)
