"""The first things that anybody types."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from typer.main import get_command
from typer.testing import CliRunner

from orchestrator.cli import GROUPS, app


def test_help_shows_every_verb_once_in_its_group() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    places = [shown.stdout.index(f"\n{group}:\n") for group, _ in GROUPS]
    assert places == sorted(places)
    verbs = [verb for _, group in GROUPS for verb in group]
    assert sorted(verbs) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    assert all(shown.stdout.count(f"\n  {verb} ") == 1 for verb in verbs)


def test_the_command_says_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"kaskad {version('kaskad')}\n"


def test_the_module_is_the_command_under_the_same_name() -> None:
    done = subprocess.run([sys.executable, "-m", "orchestrator.cli", "chek"], capture_output=True, text=True, check=False)
    assert (done.returncode, "Usage: kaskad" in done.stderr, "'check'" in done.stderr) == (2, True, True)
