"""The fast runner of policy tests gives the same results as the whole service."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check.judge import load_configuration
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Report
from orchestrator.policytests.file import PolicyTest, read_test_file
from orchestrator.policytests.runner import Observed, PolicyTestRunner
from orchestrator.virtual.shared_tools import SharedTools
from tests.policytests.test_policy_tests import PASSING
from tests.simulate.place import HEAD, Place
from tests.virtual.full_test_runner import FullTestRunner

ROOT = Path(__file__).parents[2]
WORKED = sorted((ROOT / "config" / "policies").glob("*.test.yaml"))

AWKWARD = [
    "{providers: {viber: {takes: 9s, delivered: 1s, read: 2s}}}",
    "{providers: {viber: {takes: 12s, delivered: 30s}}}",
    "{providers: {viber: [unreachable, throttled, {throttled: 5m}, accepts]}}",
    "{providers: {viber: unreachable, sms: unreachable}}",
    (
        "{providers: {viber: {unknown: server_error, delivered: 9s}}, then: [{at: 2h, receipt:"
        " {channel: sms, state: sent}}]}"
    ),
    "{then: [{at: 20s, reply: {channel: viber, text: Дякую}}]}",
    (
        "{then: [{at: 20s, reply: {channel: viber, text: СТОП}}, {at: 25s, reply: {channel: viber,"
        " text: СТАРТ}}]}"
    ),
    "{then: [{at: 1m, cancel: true}]}",
    "{then: [{at: 1m, recipient: {phone: null}}, {at: 5m, cancel: true}]}",
    "{then: [{at: 40s, event: {data: {n: 2}}}, {at: 50s, event: {type: over}}]}",
    (
        "{history: [{ago: 3h, event: {data: {n: 2}}}, {ago: 2h, sent: sms, class: otp}, {ago: 1h,"
        " opt_out: {channel: sms}}]}"
    ),
    (
        "{providers: {viber: {failed: 20s, because: address}}, then: [{at: 5m, event: {data: {n:"
        " 3}}}]}"
    ),
    "{providers: {sms: {sent: 1s, delivered: 3d}}}",
]


def comparable(observed: Observed) -> tuple[object, ...]:
    """The parts a test can observe, without the order within one instant, which means nothing."""
    message = observed.message
    ending = (
        (message.status, message.reason, message.succeeded_by, message.flags)
        if message is not None
        else None
    )
    story = sorted(observed.entries, key=lambda one: (one.at, repr(one)))
    words = {channel: dict(parts) for channel, parts in observed.sent.items()}
    return ending, story, observed.cost, words, observed.impossible


def assert_same_story(test: PolicyTest, configuration: Configuration, tools: SharedTools) -> None:
    quick, whole = (
        kind(test, configuration, tools).run() for kind in (PolicyTestRunner, FullTestRunner)
    )
    assert comparable(quick) == comparable(whole), test.name


@pytest.mark.parametrize("path", WORKED, ids=lambda path: path.name)
def test_the_worked_tests_go_the_same_way_through_the_whole_service(path: Path) -> None:
    configuration, report, tools = (
        load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False),
        Report(),
        SharedTools(),
    )
    for test in read_test_file(path, configuration, report):
        assert_same_story(test, configuration, tools)


@pytest.mark.parametrize("given", [*AWKWARD, *(given for given, _ in PASSING)])
def test_whatever_is_given_goes_the_same_way_through_the_whole_service(
    place: Place, given: str
) -> None:
    path = place.write(
        "policies/tale.test.yaml",
        f"{HEAD}  - name: it\n    given: {given}\n    expect: {{outcome: expired}}\n",
    )
    configuration, report = place.load(), Report()
    (test,) = read_test_file(path, configuration, report)
    report.refuse()
    assert_same_story(test, configuration, SharedTools())
