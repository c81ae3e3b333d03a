"""The first things that anybody types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from orchestrator.cli import GROUPS, app

CONFIG = Path(__file__).parents[2] / "config" / "kaskad.yaml"


def test_help_shows_every_verb_once_in_its_group() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    places = [shown.stdout.index(f"\n{group}:\n") for group, _ in GROUPS]
    assert places == sorted(places)
    verbs = [verb for _, group in GROUPS for verb in group]
    assert sorted(verbs) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    assert all(shown.stdout.count(f"\n  {verb} ") == 1 for verb in verbs)


def test_help_loads_nothing_that_only_a_verb_needs() -> None:
    """So that it answers at once; what is slow to load is imported where it is used."""
    look = "import sys, orchestrator.cli; print(*(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    slow = {"aiohttp", "babel", "cryptography", "jinja2", "pydantic", "ruamel", "uvloop"}
    assert slow & set(done.stdout.split()) == set()


def test_the_module_is_the_command_under_the_same_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "chek"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Usage: kaskad" in done.stderr, "'check'" in done.stderr) == (
        2,
        True,
        True,
    )


def kaskad(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=input, env={"KASKAD_CONFIG": str(CONFIG)})


def test_the_worked_configuration_is_in_order_but_for_its_secrets() -> None:
    bare = kaskad("check")
    assert (bare.exit_code, "--no-secrets" in bare.stderr) == (1, True)
    assert (kaskad("check", "--no-secrets").exit_code, kaskad("check", "--no-secrets").stdout) == (
        0,
        "everything is in order\n",
    )


def test_a_template_is_shown_where_nobody_has_the_secrets() -> None:
    event = '{"code": "482913", "minutes": 5, "recipient": {"locale": "uk-UA"}}'
    shown = kaskad("render", "otp_code", "--channel", "sms", "--event", "-", input=event)
    assert shown.exit_code == 0, shown.output
    assert "── sms (uk" in shown.stdout


NO_OBJECT = "an event is a JSON object"
BAD_EVENTS = [("[1]", NO_OBJECT), ("{", "this is not JSON"), ('{"recipient": 1}', NO_OBJECT)]


@pytest.mark.parametrize(("event", "said"), BAD_EVENTS)
def test_an_event_that_is_none_is_reported_and_not_rendered(event: str, said: str) -> None:
    done = kaskad("render", "order_shipped", input=event)
    assert (done.exit_code, f"standard input: {said}" in done.stderr) == (2, True)
