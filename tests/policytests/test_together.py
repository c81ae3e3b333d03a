"""Approximate times, tests in several locales, and several policies in one test."""

from __future__ import annotations

import json

import pytest

from tests.simulate.place import GOVERNANCE, HEAD, POLICY, Place

SEEN = "{viber: {delivered: 20s, read: 10m1s}}"
GAP = "min_gaps: {between: {classes: [transactional], gap: 2h}}\n"
SOON = POLICY.replace("tale", "other").replace(', when: "event.n > 0"', "")
OTHER = SOON.replace("deadline: 1h", "deadline: 5h")
TOGETHER = "  - {name: it, together: [other], given: {then: [%s]}, expect: %s}\n"


@pytest.mark.parametrize(
    ("step", "holds"),
    [
        ("1m send sms", True),
        ("~1m send sms", True),
        ("~55s send sms", True),
        ("~50s send sms", False),
        ("by 1m send sms by twilio", True),
        ("by 2h send sms", True),
        ("by 59s send sms", False),
        ("at ~65s send sms", True),
    ],
)
def test_a_time_may_be_about_or_at_the_latest(place: Place, step: str, holds: bool) -> None:
    steps = f"[{step}, 0s send viber, ~61s leave viber]"
    assert place.verdict("{}", f"{{steps: {steps}}}").passed is holds


def test_a_line_takes_no_send_that_another_line_needs(place: Place) -> None:
    given = "{providers: {viber: [{not_sent: not_taken}, {delivered: 1s, read: 2s}]}}"
    exact = place.verdict(given, "{steps: [by 1h send viber, 0s send viber]}")
    assert exact.passed, exact.differences
    short = place.verdict(given, "{steps: [by 1h send viber]}")
    assert [one.expected for one in short.differences] == [""]


def test_a_hold_may_end_about_then(place: Place) -> None:
    place.write("governance.yaml", GOVERNANCE + GAP)
    history = "{history: [{ago: 1h30m, sent: sms}]}"
    held = "0s hold viber because min_gap until"
    assert place.verdict(history, f"{{steps: [{held} ~29m, 30m send viber, 31m send sms]}}").passed
    assert not place.verdict(
        history, f"{{steps: [{held} 29m, 30m send viber, 31m send sms]}}"
    ).passed


def test_a_test_runs_in_every_locale_of_its_template(place: Place) -> None:
    place.write("templates/tale/sms.uk.text.j2", "Бувай {{ event.m }}")
    expect = "{outcome: succeeded by sms, text: {sms.en: contains Bye, sms.uk: contains Бувай}}"
    tests = f"  - {{name: it, locales: all, expect: {expect}}}\n"
    english, ukrainian = place.verdicts(tests)
    assert (english.test.name, english.passed) == ("it [en]", True)
    assert (ukrainian.test.name, ukrainian.passed) == ("it [uk]", False)
    place.write("templates/tale/sms.uk.text.j2", "Бувай {{ event.n }}")
    assert all(one.passed for one in place.verdicts(tests))
    assert [one.test.name for one in place.verdicts(tests.replace("all", "[uk-UA]"))] == [
        "it [uk-UA]"
    ]


def other_policy(place: Place) -> None:
    place.write("policies/other.yaml", OTHER)
    for part in ("viber.text.j2", "sms.text.j2"):
        place.write(f"templates/other/{part}", "Other {{ event.n }}")
    place.write("governance.yaml", GOVERNANCE + GAP)


def test_two_policies_are_held_by_the_governance_that_they_share(place: Place) -> None:
    other_policy(place)
    then = "{at: 1h, event: {type: other, data: {n: 2}}}"
    held = "1h hold viber because min_gap until 2h"
    expected = (
        f"{{others: {{other: {{steps: [{held}, 2h send viber, 121m send sms], not_sent: []}}}}}}"
    )
    (good,) = place.verdicts(TOGETHER % (then, expected))
    assert good.passed, good.differences
    (bad,) = place.verdicts(TOGETHER % (then, "{others: {other: {steps: [1h send viber]}}}"))
    assert {one.expected for one in bad.differences} == {"other: 1h send viber", ""}
    place.write("governance.yaml", GOVERNANCE)
    (free,) = place.verdicts(TOGETHER % (then, expected))
    assert not free.passed


def test_a_policy_that_made_no_message_says_so(place: Place) -> None:
    other_policy(place)
    (none,) = place.verdicts(TOGETHER % ("", "{others: {other: {outcome: no message}}}"))
    assert none.passed
    (some,) = place.verdicts(TOGETHER % ("", "{others: {other: {outcome: succeeded by sms}}}"))
    assert [one.actual for one in some.differences] == ["no message"]


def test_what_the_other_policy_did_is_in_the_report(place: Place) -> None:
    other_policy(place)
    then = "{at: 1h, event: {type: other, data: {n: 2}}}"
    place.write("policies/tale.test.yaml", HEAD + TOGETHER % (then, "{outcome: expired}"))
    assert "2h send viber by infobip" in place.kaskad("test").stdout
    (found,) = json.loads(place.kaskad("test", "-o", "json").stdout)
    assert found["others"]["other"]["outcome"] == "succeeded by sms"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("together: [othr], expect: {outcome: expired}", "did you mean 'other'?"),
        ("expect: {others: {other: {outcome: expired}}}", "name it in the test: together: [other]"),
        ("locales: some, expect: {outcome: expired}", "write all, or a list: [uk, en]"),
    ],
)
def test_what_cannot_play_is_said_with_its_fix(place: Place, test: str, said: str) -> None:
    other_policy(place)
    found = place.problems(f"{HEAD}  - {{name: it, {test}}}\n")
    assert any(said in one for one in found), found
