"""
`kaskad test` runs the promises of a policy in virtual time and reports each difference with its
reason.
"""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from orchestrator.check.judge import load_configuration
from orchestrator.configuration.reading import Report
from orchestrator.configuration.yaml_file import load
from orchestrator.policytests.file import read_test_file
from orchestrator.policytests.journey_runner import runner_of
from orchestrator.policytests.runner import PolicyTestRunner
from orchestrator.policytests.schema import test_schema as schema_of_tests
from orchestrator.policytests.verdict import judge
from orchestrator.virtual.shared_tools import SharedTools
from tests.simulate.place import HEAD, POLICY, Place

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "config" / "policies"
TRIGGERED = [path for path in POLICIES.glob("*[!t].yaml") if "\ntrigger:" in path.read_text()]


@pytest.mark.parametrize("policy", sorted(TRIGGERED), ids=lambda path: path.stem)
def test_every_worked_policy_has_tests_and_keeps_what_they_promise(policy: Path) -> None:
    configuration = load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False)
    report, tools = Report(), SharedTools()
    tests = read_test_file(policy.with_suffix(".test.yaml"), configuration, report)
    assert report.problems == []
    assert len(tests) >= 8
    for test in tests:
        verdict = judge(test, PolicyTestRunner(test, configuration, tools).run())
        assert verdict.passed, (test.name, verdict.differences)


@pytest.mark.parametrize(
    "journey", sorted((ROOT / "config/journeys").glob("*[!t].yaml")), ids=lambda path: path.stem
)
def test_every_worked_journey_keeps_what_its_tests_promise(journey: Path) -> None:
    configuration = load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False)
    report, tools = Report(), SharedTools()
    tests = read_test_file(journey.with_suffix(".test.yaml"), configuration, report)
    assert report.problems == []
    assert len(tests) >= 3
    for test in tests:
        verdict = judge(test, runner_of(test)(test, configuration, tools).run())
        assert verdict.passed, (test.name, verdict.differences)


def test_a_policy_is_tested_without_its_secrets(place: Place) -> None:
    assert place.verdict(
        "{providers: {viber: {delivered: 2s, read: 9m}}}", "{outcome: succeeded by viber}"
    ).passed


def test_what_is_wrong_besides_the_secrets_is_still_said(place: Place) -> None:
    place.write("governance.yaml", "quiet_hours: {night: {window: never}}\n")
    done = place.kaskad("test")
    assert done.exit_code == 2
    assert "governance.yaml:1:" in done.stderr


PASSING = [
    (
        "{providers: {viber: accepts}}",
        "{steps: [0s send viber, 1m send sms], outcome: succeeded by sms, cost: 1.90}",
    ),
    (
        "{providers: {viber: {delivered: 2s}}}",
        "{steps: [0s send viber, 10m leave viber because not_read_in_time, 10m send sms]}",
    ),
    (
        "{not_before: 2h, then: [{at: 1h, recipient: {phone: '+380501234567'}}],"
        " providers: {viber: {delivered: 2s}}}",
        "{steps: [2h send viber, 2h10m leave viber because not_read_in_time, 2h10m send sms]}",
    ),
    (
        "{providers: {viber: {failed: 20s}}}",
        "{steps: [0s send viber, 20s leave viber because failure_receipt, 20s send sms]}",
    ),
    (
        "{providers: {viber: accepts}}",
        "{steps: [at 0s send viber, at 1m send sms], cost: ≤ 1.90 UAH}",
    ),
    (
        "{providers: {viber: {refuses: recipient}}}",
        "{steps: [0s send viber by infobip, 0s send sms], cost: 1.2 UAH}",
    ),
    (
        "{providers: {infobip: {refuses: configuration}}}",
        "{steps: [0s send viber by infobip, 0s send viber by infobip_b, 1m send sms]}",
    ),
    (
        "{providers: {viber: unknown}}",
        "{steps: [0s send viber, 1m10s leave viber because unknown_outcome, 1m10s send sms]}",
    ),
    (
        "{providers: {viber: {unknown: timed_out, delivered: 3s, read: 5s}}}",
        "{steps: [0s send viber], outcome: succeeded by viber}",
    ),
    (
        "{providers: {viber: {takes: 4s, delivered: 1s, read: 2s}}}",
        "{steps: [0s send viber], outcome: succeeded by viber}",
    ),
    (
        "{providers: {infobip: [{throttled: 30s}, {delivered: 1s, read: 2s}]}}",
        "{steps: [0s send viber, 30s send viber]}",
    ),
    (
        "{recipient: {phone: null}}",
        "{steps: [0s skip viber because no_address], outcome: suppressed because no_address}",
    ),
    ("{event: {n: 0}}", "{outcome: no message}"),
    (
        "{then: [{at: 30s, event: {type: over}}]}",
        "{steps: [0s send viber], outcome: cancelled because goal_met}",
    ),
    ("{then: [{at: 30s, cancel: true}]}", "{outcome: cancelled because cancelled}"),
    (
        "{then: [{at: 30s, opt_out: {channel: sms}}]}",
        "{steps: [0s send viber, 1m skip sms because opted_out]}",
    ),
    (
        "{then: [{at: 30s, reply: {channel: sms, text: STOP}}]}",
        "{steps: [0s send viber, 1m skip sms because opted_out]}",
    ),
    (
        "{then: [{at: 30s, recipient: {phone: null}}]}",
        "{steps: [0s send viber, 1m skip sms because no_address]}",
    ),
    (
        "{then: [{at: 59s, receipt: {channel: viber, state: read}}]}",
        "{steps: [0s send viber], outcome: succeeded by viber}",
    ),
    (
        (
            "{providers: {sms: {delivered: 2s}}, then: [{at: 5m, receipt: {channel: viber, state:"
            " delivered}}]}"
        ),
        "{steps: [0s send viber, 1m send sms], flags: [duplicate_delivery]}",
    ),
    ("{event: {n: null}}", "{outcome: no message}"),
    ("{event: {n: 7}}", "{text: {viber: [contains Hello, is Hello 7, lacks Bye], sms: is Bye 7}}"),
    ("{history: [{ago: 2h, opt_out: {}}]}", "{steps: [], outcome: suppressed because opted_out}"),
]


@pytest.mark.parametrize(("given", "expect"), PASSING)
def test_what_happens_is_what_the_service_would_do(place: Place, given: str, expect: str) -> None:
    verdict = place.verdict(given, expect)
    assert verdict.passed, verdict.differences


FAILING = [
    (
        "{steps: [0s send viber, 2m send sms]}",
        ["0s send sms", "1m send sms by twilio: nothing of `steps` expects it"],
    ),
    ("{steps: [0s send viber]}", ["1m send sms by twilio: nothing of `steps` expects it"]),
    ("{steps: [0s send viber, 1m send sms, 2m skip sms]}", ["1m send sms by twilio"]),
    ("{outcome: succeeded by viber}", ["succeeded by sms"]),
    ("{cost: < 1}", ["cost 1.90"]),
    ("{not_sent: [sms]}", ["it was sent"]),
    ("{flags: [late]}", ["flags []"]),
    ("{text: {sms: contains Hello}}", ["Bye 1"]),
    ("{outcome: no message}", ["succeeded by sms"]),
]


@pytest.mark.parametrize(("expect", "problems"), FAILING)
def test_a_failed_expectation_is_shown_beside_what_happened(
    place: Place, expect: str, problems: list[str]
) -> None:
    verdict = place.verdict("{}", expect)
    assert not verdict.passed
    said = " ".join(difference.actual for difference in verdict.differences)
    assert [words for words in problems if words.removeprefix("0s ") not in said] == []


def test_a_step_that_was_not_sent_is_shown_with_its_reason(place: Place) -> None:
    place.write("policies/tale.yaml", POLICY.replace("transactional", "promotional"))
    verdict = place.verdict(
        "{recipient: {consents: [{channel: sms, state: in}]}}", "{steps: [0s send viber]}"
    )
    assert any("skip viber because no_consent" in one.actual for one in verdict.differences)


def test_quiet_hours_and_caps_are_the_governance_s_own(place: Place) -> None:
    place.write(
        "policies/tale.yaml", POLICY.replace("transactional", "promotional").replace("1h", "20h")
    )
    given = '{now: "2026-11-21T22:00:00+02:00", recipient: {consents: [{state: in}]}}'
    steps = (
        "0s hold viber because quiet_hours until 2026-11-22T09:00:00+02:00, 11h send viber, 11h1m"
        " send sms"
    )
    assert place.verdict(given, f"{{steps: [{steps}]}}").passed
    history = "{ago: 1d, sent: viber, class: promotional}, {ago: 7h, sent: sms, class: promotional}"
    given = f"{{recipient: {{consents: [{{state: in}}]}}, history: [{history}]}}"
    verdict = place.verdict(
        given,
        "{steps: [0s hold viber because frequency_cap], outcome: expired because frequency_cap}",
    )
    assert verdict.passed, verdict.differences


def test_an_act_that_cannot_be_played_fails_the_test_and_says_why(place: Place) -> None:
    verdict = place.verdict(
        "{then: [{at: 10s, receipt: {channel: sms, state: delivered}}]}",
        "{outcome: succeeded by sms}",
    )
    assert [one.actual for one in verdict.differences] == [
        "this could not be done: nothing was sent on sms that a receipt could be about"
    ]


def given_in(test: str) -> str:
    return HEAD + f"  - name: it\n    given: {test}\n    expect: {{outcome: expired}}\n"


def expecting(expect: str) -> str:
    return HEAD + f"  - name: it\n    expect: {expect}\n"


BAD = [
    ("policy: tail\ntests: []\n", "1:9: there is no policy 'tail'; did you mean 'tale'?"),
    ("policy: tale\n", "1:1: the test file has no `tests`; write at least one: "),
    (
        "policy: tale\ntests: [{name: it, expect: {}}]\n",
        '2:9: `given` has no `now`; say when: now: "2026-11-21T10:00:00+02:00"',
    ),
    (
        given_in("{providers: {vibre: accepts}}"),
        "8:25: there is no channel or provider 'vibre'; did you mean 'viber'?",
    ),
    (
        given_in("{providers: {viber: sleeps}}"),
        (
            "8:32: a provider cannot behave as 'sleeps'; write accepts, unreachable, throttled or"
            " unknown, or a mapping "
        ),
    ),
    (
        given_in("{providers: {twilio: {clicked: 1m}}}"),
        (
            "8:34: twilio (twilio_sms) never reports `clicked`; it reports sent, delivered, read,"
            " replied, failed, "
        ),
    ),
    (
        given_in("{providers: {viber: {delivered: 30}}}"),
        "8:44: `delivered` is not a time span; write a number and a unit: 30s, 10m, 1h30m",
    ),
    (
        given_in("{providers: {viber: {refuses: adress}}}"),
        "8:42: `refuses` cannot be 'adress'; did you mean 'address'?",
    ),
    (
        given_in("{now: yesterday}"),
        '8:18: `now` is not an RFC 3339 time; write "2026-11-21T10:00:00+02:00"',
    ),
    (given_in("{recipient: {phone: '12'}}"), "8:32: `recipient.phone` is not right: "),
    (
        given_in("{then: [{at: 1m}]}"),
        (
            "8:20: nothing happens here; write one of event, opt_out, reply, receipt, recipient or"
            " cancel"
        ),
    ),
    (given_in("{histroy: []}"), "8:13: `given` has no key 'histroy'; did you mean 'history'?"),
    (
        expecting("{steps: [2m push viber]}"),
        "8:22: the verb cannot be 'push'; write send, skip, leave or hold",
    ),
    (
        expecting("{steps: [2m send email]}"),
        "8:22: the policy's channel cannot be 'email'; write viber or sms",
    ),
    (
        expecting("{steps: [2m send viber by twillio]}"),
        "8:22: the provider cannot be 'twillio'; did you mean 'twilio'?",
    ),
    (
        expecting("{steps: [soon send viber]}"),
        "8:22: `soon` is not a time; write a span such as 2m, ~2m or by 2m, or an RFC 3339 time",
    ),
    (expecting("{steps: [2m skip viber because tired]}"), "8:22: there is no reason 'tired'; "),
    (expecting("{outcome: done}"), "8:23: the status cannot be 'done'; write "),
    (
        expecting("{cost: cheap}"),
        '8:20: `cost` is a text (cheap); write an amount, or a limit such as "<= 1.20 UAH"',
    ),
    (expecting("{cost: 1 EUR}"), "8:20: this installation does not pay in EUR; write UAH"),
    (
        expecting("{text: {viber: Hello}}"),
        "8:28: `text.viber` does not say what is looked for; begin with contains, ",
    ),
    (
        expecting("{}"),
        "8:13: the test expects nothing; write expect: {outcome: succeeded by viber}",
    ),
    (
        HEAD
        + "  - {name: a, expect: {outcome: expired}}\n  - {name: a, expect: {outcome: expired}}\n",
        "8:5: the test 'a' is also on line 7; rename one",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_test_file_is_refused_with_its_place_and_a_fix(
    place: Place, text: str, said: str
) -> None:
    problems = place.problems(text)
    assert any(problem.startswith(said) for problem in problems), problems


def test_the_exit_code_says_whether_all_tests_hold(place: Place) -> None:
    place.write(
        "policies/tale.test.yaml",
        HEAD + "  - {name: it holds, expect: {outcome: succeeded by sms}}\n",
    )
    good = place.kaskad("test")
    assert (good.exit_code, "1 test(s) in 1 file(s), 0 failed" in good.stdout) == (0, True)
    place.write(
        "policies/tale.test.yaml", HEAD + "  - {name: it fails, expect: {outcome: expired}}\n"
    )
    bad = place.kaskad("test")
    assert bad.exit_code == 1
    assert "tale.test.yaml:7  it fails" in bad.stdout
    assert "expired, but: succeeded by sms" in bad.stdout
    place.write(
        "policies/tale.test.yaml", HEAD + "  - {name: it fails, expect: {outcome: expird}}\n"
    )
    assert place.kaskad("test").exit_code == 2


def test_what_was_expected_stands_beside_what_came_in_its_place(place: Place) -> None:
    text = (
        "  - {name: it, expect: {steps: [0s send viber, 3m send sms, 5m send sms], outcome:"
        " succeeded by sms}}\n"
    )
    place.write("policies/tale.test.yaml", HEAD + text)
    lines = [" ".join(line.split()) for line in place.kaskad("test").stdout.splitlines()]
    assert "0s send viber 0s send viber by infobip" in lines
    assert "✗ 3m send sms 1m send sms by twilio" in lines
    assert "✗ 5m send sms" in lines
    assert "succeeded by sms succeeded by sms" in lines


def test_problems_come_in_the_order_of_the_file_and_not_by_the_hundred(place: Place) -> None:
    expects = "".join(
        f"  - {{name: t{n}, expect: {{outcome: expird, flags: [lat]}}}}\n" for n in range(40)
    )
    place.write("policies/tale.test.yaml", HEAD + expects)
    done = place.kaskad("test")
    lines = done.stderr.splitlines()
    assert done.exit_code == 2
    assert lines[-1] == "… and 30 more like these"
    places = [
        tuple(int(part) for part in line.split("test.yaml:")[1].split(":")[:2])
        for line in lines[:-1]
    ]
    assert places == sorted(places)
    assert len(places) == 50


def test_a_cascade_with_a_misspelt_channel_is_not_played(place: Place) -> None:
    place.write("policies/tale.yaml", POLICY.replace("channel: sms", "channel: smss"))
    done = place.kaskad("test")
    assert (
        done.exit_code,
        "no provider is configured for 'smss'; did you mean 'sms'?" in done.stderr,
    ) == (2, True)


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.test.yaml")), ids=lambda path: path.name)
def test_the_schema_for_editors_takes_the_worked_tests(path: Path) -> None:
    validator = jsonschema_rs.validator_for(schema_of_tests())
    document = load(path).plain()
    assert [error.message for error in validator.iter_errors(document)] == []
    document["tests"][0]["expect"]["steps"] = ["2m push viber"]
    assert not validator.is_valid(document)
    document["tests"][0]["expect"] = {"outcom": "expired"}
    assert not validator.is_valid(document)
