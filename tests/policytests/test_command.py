"""`kaskad test`: which tests it runs, and its result for programs."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from orchestrator.cli import trying
from orchestrator.cli.junit import JunitCase, print_junit
from tests.simulate.place import HEAD, POLICY, Place

TWO = """\
  - {name: it holds, expect: {outcome: succeeded by sms}}
  - {name: it fails, expect: {outcome: expired}}
"""


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


def test_a_failure_prints_the_argument_that_runs_it_alone(place: Place) -> None:
    file = place.write("policies/tale.test.yaml", HEAD + TWO)
    failed = place.kaskad("test")
    assert failed.exit_code == 1
    assert f"FAILED {file}:8  it fails" in failed.stdout
    assert "1 test(s) in 1 file(s), 1 failed" in place.kaskad("test", f"{file}:8").stdout
    # a line inside a test means it, too
    assert place.kaskad("test", f"{file}:7").exit_code == 0
    none = place.kaskad("test", f"{file}:1")
    assert (none.exit_code, "no test at line 1; tests begin at 7, 8" in none.stderr) == (2, True)


def test_tests_are_listed_and_not_run(place: Place) -> None:
    file = place.write("policies/tale.test.yaml", HEAD + TWO)
    listed = place.kaskad("test", "--list")
    assert (listed.exit_code, listed.stdout) == (0, f"{file}:7  it holds\n{file}:8  it fails\n")
    (one,) = json.loads(place.kaskad("test", "--list", "-k", "holds", "-o", "json").stdout)
    assert one == {"file": str(file), "line": 7, "policy": "tale", "name": "it holds"}


def test_a_ci_system_reads_the_result_as_junit(place: Place) -> None:
    place.write("policies/tale.test.yaml", HEAD + TWO)
    done = place.kaskad("test", "-o", "junit")
    suite = ElementTree.fromstring(done.stdout.encode())[0]
    good, bad = suite
    assert (done.exit_code, suite.get("tests"), suite.get("failures")) == (1, "2", "1")
    assert (good.get("name"), good.get("line"), len(good)) == ("it holds", "7", 0)
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "expired, but: succeeded by sms"
    assert "1m send sms by twilio" in (failure.text or "")


def test_junit_survives_characters_that_xml_cannot_hold(capsys: pytest.CaptureFixture[str]) -> None:
    print_junit("s", [JunitCase("g", "a\x1b<b", "f", 1, "\ud800 & ]]>", "\x00é")])
    case = ElementTree.fromstring(capsys.readouterr().out.encode())[0][0]
    assert (case.get("name"), case[0].get("message"), case[0].text) == ("a�<b", "� & ]]>", "�é")


def test_coverage_names_what_no_test_tries(place: Place) -> None:
    place.write("policies/tale.test.yaml", HEAD + TWO)
    place.write("policies/other.yaml", POLICY.replace("tale", "other"))
    for part in ("viber.text.j2", "sms.text.j2"):
        place.write(f"templates/other/{part}", "Hello")
    said = place.kaskad("test", "--coverage").stdout.splitlines()
    assert said[-3:] == [
        "other  no test",
        "tale   2 test(s), 2 of 2 steps sent, 1 of 5 reasons met",
        "       never met: opted_out, no_address, goal_met, not_read_in_time",
    ]
    found = json.loads(place.kaskad("test", "--coverage", "-o", "json", "-k", "h").stdout)
    assert [one["name"] for one in found["tests"]] == ["it holds"]
    assert [one["policy"] for one in found["coverage"]] == ["tale"]


def test_a_step_that_no_test_sends_is_named(place: Place) -> None:
    seen = "{providers: {viber: {delivered: 1s, read: 2s}}}"
    only = f"  - {{name: seen, given: {seen}, expect: {{outcome: succeeded by viber}}}}\n"
    place.write("policies/tale.test.yaml", HEAD + only)
    assert "      never sent: 2 sms" in place.kaskad("test", "--coverage").stdout.splitlines()


def test_where_there_is_no_terminal_a_long_simulation_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trying, "PROGRESS_SECONDS", 0.0)
    advance = trying.progress_lines("simulating", 400)
    advance(100)
    advance(100)
    assert capsys.readouterr().err == "simulating: 25% (100 of 400)\nsimulating: 50% (200 of 400)\n"
