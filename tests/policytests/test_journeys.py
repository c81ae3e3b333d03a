"""Tests of journeys: what passes, what differs, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check.judge import load_configuration
from orchestrator.configuration.reading import Report
from orchestrator.policytests.coverage import (
    coverage,
    journey_coverage,
    journey_coverage_lines,
)
from orchestrator.policytests.file import find_test_files, read_test_file
from orchestrator.policytests.journey_runner import runner_of
from orchestrator.policytests.verdict import Judgement, judge
from orchestrator.virtual.shared_tools import SharedTools

KASKAD = """
store: sqlite:///kaskad.db
channels:
  sms: [{provider: texts, adapter: log}]
"""
POLICY = """
policy: {name}
class: service
topic: t
template: hello
deadline: 2h
cascade: [{{channel: sms}}]
"""
JOURNEY = """
journey: trek
enter: {event: goal.set, key: event.goal}
goal: {event: goal.met, match: goal.goal == event.goal}
deadline: 30d
steps:
  - send: hello
  - until: {event: mile, match: event.goal == journey.event.goal, within: 7d}
    then: [{set: {miles: (recipient.miles or 0) + 1}}]
    else: [{send: nudge}]
"""
GIVEN = """
journey: trek
given:
  now: "2026-11-21T10:00:00+02:00"
  recipient: {phone: true}
  event: {goal: g1}
tests:
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "config/kaskad.yaml": KASKAD,
        "config/governance.yaml": "sms_countries: [UA]\n",
        "config/policies/hello.yaml": POLICY.format(name="hello"),
        "config/policies/nudge.yaml": POLICY.format(name="nudge"),
        "config/journeys/trek.yaml": JOURNEY,
        "templates/hello/sms.text.j2": "hello",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(project: Path, tests: str) -> list[Judgement]:
    (project / "config/journeys/trek.test.yaml").write_text(GIVEN + tests)
    configuration = load_configuration(project / "config/kaskad.yaml", {})
    report = Report()
    files = find_test_files([], configuration)
    found = [test for file in files for test in read_test_file(file, configuration, report)]
    assert not report.failed, report.problems
    return [judge(one, runner_of(one)(one, configuration, SharedTools()).run()) for one in found]


def problems(project: Path, tests: str) -> list[str]:
    (project / "config/journeys/trek.test.yaml").write_text(GIVEN + tests)
    configuration = load_configuration(project / "config/kaskad.yaml", {})
    report = Report()
    read_test_file(project / "config/journeys/trek.test.yaml", configuration, report)
    return [f"{one.line}: {one.what}; {one.fix}" for one in report.problems]


def test_every_message_is_named_with_its_time_and_the_run_with_its_end(project: Path) -> None:
    (one, other) = run(
        project,
        """
  - name: nobody runs
    expect: {messages: [0s hello, 7d nudge], outcome: completed, steps: [0s send sms, 7d send sms]}
  - name: they run
    given: {then: [{at: 2d, event: {type: mile, data: {goal: g1}}}]}
    expect: {messages: [0s hello], outcome: completed, attributes: {miles: 1}}
""",
    )
    assert (one.differences, other.differences) == ((), ())


def test_what_is_otherwise_is_said_at_its_line(project: Path) -> None:
    (one,) = run(
        project,
        """
  - name: wrong
    expect:
      messages: [1d hello]
      outcome: goal_met
      attributes: {miles: 3}
      steps: [0s send sms]
""",
    )
    said = [(found.line, found.expected, found.actual) for found in one.differences]
    assert said == [
        (12, "goal_met", "completed"),
        (11, "1d hello", "0s hello"),
        (11, "", "0s hello: nothing of `messages` expects it"),
        (11, "", "7d nudge: nothing of `messages` expects it"),
        (11, "attribute miles: 3", "None"),
        (11, "", "7d send sms by texts: nothing of `steps` expects it"),
    ]


def test_an_event_that_begins_no_journey_is_said(project: Path) -> None:
    path = project / "config/journeys/trek.yaml"
    path.write_text(path.read_text().replace("key: event.goal", "when: event.km > 5"))
    (one,) = run(project, "  - {name: no, expect: {messages: [], outcome: running}}\n")
    assert [found.actual for found in one.differences] == [
        "no run: the event did not begin the journey"
    ]


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("{outcome: succeeded}", "this is no status of a journey; write one of running"),
        ("{outcome: failed because tired}", "there is no reason 'tired'"),
        ("{messages: [0s helo]}", "the journey sends no 'helo'; did you mean 'hello'?"),
        ("{messages: [hello]}", "this is no message; write TIME POLICY"),
    ],
)
def test_what_cannot_be_expected_is_refused(project: Path, expect: str, words: str) -> None:
    (found,) = problems(project, f"  - {{name: x, expect: {expect}}}\n")
    assert words in found


def test_coverage_names_the_steps_and_ways_that_no_test_of_a_journey_tries(project: Path) -> None:
    lazy = "  - {name: lazy, expect: {messages: [0s hello, by 8d nudge], outcome: completed}}\n"
    verdicts = run(project, lazy)
    rules = load_configuration(project / "config/kaskad.yaml", {}).rules
    assert list(journey_coverage_lines(journey_coverage(verdicts, rules))) == [
        "trek  1 test(s), 3 of 4 steps done, 1 of 2 ways taken",
        "      never done: 2 › then › 1",
        "      never taken: 2 › then",
    ]
    ran = "{then: [{at: 1d, event: {type: mile, data: {goal: g1}}}]}"
    busy = f"  - {{name: busy, given: {ran}, expect: {{outcome: completed}}}}\n"
    (found,) = journey_coverage(run(project, lazy + busy), rules)
    assert (found.tests, found.never_done, found.never_taken) == (2, (), ())
    assert list(journey_coverage_lines(journey_coverage([], rules))) == ["trek  no test"]
    assert journey_coverage([], rules, only_tested=True) == []


def test_a_journey_and_a_policy_of_one_name_are_covered_apart(project: Path) -> None:
    (project / "config/policies/trek.yaml").write_text(POLICY.format(name="trek"))
    verdicts = run(project, "  - {name: lazy, expect: {outcome: completed}}\n")
    rules = load_configuration(project / "config/kaskad.yaml", {}).rules
    assert {one.policy: one.tests for one in coverage(verdicts, rules)}["trek"] == 0
