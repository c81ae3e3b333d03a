"""`kaskad test`: which tests it runs, and its result for programs."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli import policies
from tests.simulate.place import HEAD, Place


def test_a_folder_without_tests_is_named(place: Place) -> None:
    (place.folder / "empty").mkdir()
    done = place.kaskad("test", str(place.folder / "empty"))
    assert (done.exit_code, f"there are no tests in {place.folder}/empty" in done.stderr) == (
        2,
        True,
    )


def test_tests_are_chosen_by_name_and_by_path(place: Place) -> None:
    tests = (
        "  - {name: one, expect: {outcome: succeeded by sms}}\n  - {name: two, expect: {outcome:"
        " expired}}\n"
    )
    file = place.write("policies/tale.test.yaml", HEAD + tests)
    assert place.kaskad("test", "-k", "ONE").exit_code == 0
    assert place.kaskad("test", "-k", "two", str(file)).exit_code == 1
    none = place.kaskad("test", "-k", "twos")
    assert (none.exit_code, none.stderr) == (
        2,
        "no test has 'twos' in its name; did you mean 'two'?\n",
    )
    other = place.kaskad("test", str(place.folder / "policies" / "tale.yaml"))
    assert (other.exit_code, "name tale.test.yaml" in other.stderr) == (2, True)


def test_the_result_can_be_read_by_programs(place: Place) -> None:
    place.write(
        "policies/tale.test.yaml",
        HEAD + "  - {name: it fails, expect: {steps: [0s send viber], outcome: expired}}\n",
    )
    (found,) = json.loads(place.kaskad("test", "-o", "json").stdout)
    assert (found["name"], found["passed"], found["outcome"], found["cost"]) == (
        "it fails",
        False,
        "succeeded by sms",
        "1.90",
    )
    assert {"at_ms": 60_000, "what": "send", "channel": "sms", "provider": "twilio"} in found[
        "timeline"
    ]
    assert {one["expected"] for one in found["differences"]} == {"expired", ""}


def test_where_there_is_no_terminal_a_long_simulation_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "PROGRESS_SECONDS", 0.0)
    advance = policies.progress_lines("simulating", 400)
    advance(100)
    advance(100)
    assert capsys.readouterr().err == "simulating: 25% (100 of 400)\nsimulating: 50% (200 of 400)\n"
