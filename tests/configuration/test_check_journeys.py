"""`kaskad check` finds what is wrong with journeys among the policies that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check.judge import judge
from tests.configuration.place import CONFIG, ENV, Place

HEAD = "journey: j\nenter: {event: e, key: event.id}\n"
SENT = "policy: hello\ncascade:\n  - {channel: sms}\n"


def said_of(folder: Path, text: str) -> list[str]:
    place = Place(folder)
    place.write("config/policies/hello.yaml", SENT)
    place.write("templates/hello/sms.text.j2", "Hello")
    place.write("config/journeys/j.yaml", text)
    return [one.removeprefix("journeys/") for one in place.said()]


WELL = HEAD + "steps: [{send: hello}, {wait: 1d}, {send: p}]\n"


def test_a_journey_that_is_well_is_part_of_the_configuration(tmp_path: Path) -> None:
    assert said_of(tmp_path, WELL) == []
    configuration = judge(tmp_path / "config/kaskad.yaml", ENV).configuration
    assert configuration is not None
    assert list(configuration.rules.journeys) == ["j"]
    assert [one.name for one in configuration.rules.journeys_by_event["e"]] == ["j"]
    assert configuration.journeys["j"].raw == WELL


def test_a_policy_without_a_trigger_needs_a_journey(tmp_path: Path) -> None:
    said = said_of(tmp_path, HEAD + "steps: [{send: p}]\n")
    assert len(said) == 1
    assert "hello.yaml:1:1: warning: the policy has no trigger, so nothing starts it" in said[0]


FOUND: list[tuple[str, str]] = [
    (
        HEAD + "steps: [{send: hello}, {send: helo}]\n",
        "3:31: there is no policy 'helo'; did you mean 'hello'?",
    ),
    (
        HEAD + "deadline: 2d\nsteps: [{send: hello}, {wait: 3d}]\n",
        "4:31: the step waits 3d, and the deadline is 2d; shorten it, or lengthen the deadline",
    ),
    (
        HEAD + "deadline: 2d\nsteps: [{repeat: {times: 2, steps: [{wait: 1d}]}}, {send: hello}]\n",
        "4:52: no run comes here: the steps before wait 2d, and the deadline is 2d; shorten their"
        " waits, or lengthen the deadline",
    ),
    (
        HEAD
        + "deadline: 2d\nsteps:\n  - until: {event: x, match: event.id, within: 1d}\n"
        + "  - {wait: 1d}\n  - send: hello\n",
        "7:5: warning: the steps before may wait 2d, and the deadline is 2d; shorten their waits,"
        " or lengthen the deadline",
    ),
    (
        HEAD + "steps: [{branch: [{steps: [{send: hello}]}, {when: event.a, steps: []}]}]\n",
        "3:45: warning: no run comes to this branch: the one before has no `when`; give that one a"
        " condition, or put it last",
    ),
    (
        HEAD + "steps: [{repeat: {times: 5, steps: [{send: hello}]}}]\n",
        "3:18: warning: a round may pass without a wait, so all 5 may be done at once; put a wait"
        " into it that every round comes to: - wait: 7d",
    ),
    (
        HEAD
        + "steps: [{repeat: {times: 1000, steps: [{repeat: {times: 20, steps: [{wait: 1s}]}}]}},"
        + " {send: hello}]\n",
        "3:18: it may carry out 21001 steps, and a journey 10000; repeat less often",
    ),
    (
        HEAD + "exit: [{event: e}]\nsteps: [{send: hello}]\n",
        "3:16: e starts the journey, and is its exit at once; name another event, or tell them"
        " apart with `match`",
    ),
    (
        HEAD + "goal: {event: x}\nsteps: [{until: {event: x, within: 1d}}, {send: hello}]\n",
        "4:25: warning: x is the goal, so it ends the journey instead; wait for another event, or"
        " give the goal a `match`",
    ),
    (
        HEAD + "steps: [{until: {event: kaskad.message.sent, within: 1d}}, {send: hello}]\n",
        "3:25: nothing that happens inside is called 'kaskad.message.sent'",
    ),
    (
        "journey: j\nenter: {event: e.*}\nsteps: [{send: hello}]\n",
        "2:16: the event type 'e.*' is a pattern, and types match as they are",
    ),
    (
        HEAD + "steps: [{branch: [{when: \"lst.status == 'x'\", steps: [{send: hello}]}]}]\n",
        "3:26: there is no 'lst' here, only ce, event, journey, last, now, recipient;"
        " did you mean 'last'?",
    ),
    (
        HEAD + "steps: [{branch: [{when: \"last.state == 'x'\", steps: [{send: hello}]}]}]\n",
        "3:26: there is no last.state; did you mean 'status'?",
    ),
    (
        HEAD + 'steps: [{set: {a: "journey.events.x"}}, {send: hello}]\n',
        "3:19: there is no journey.events; did you mean 'event'?",
    ),
    (
        "journey: j\nenter: {event: e, when: last.status}\nsteps: [{send: hello}]\n",
        "2:25: there is no 'last' here, only ce, event, now, recipient",
    ),
    (
        HEAD + "exit: [{event: x, match: goal.id == event.id}]\nsteps: [{send: hello}]\n",
        "3:26: there is no 'goal' here, only ce, event, exit, journey, last, now, recipient",
    ),
    (
        HEAD + "exit: [{event: x, match: event.id == 5}]\nsteps: [{send: hello}]\n",
        "3:26: warning: the condition 'event.id == 5' does not look at the exit; compare with it:"
        " exit.cart_id == event.cart_id",
    ),
    (
        HEAD + 'steps: [{publish: {type: x, data: {a: "1 +"}}}, {send: hello}]\n',
        "3:39: the expression '1 +' cannot be read",
    ),
    (
        HEAD + "steps:\n  - split: {weights: {a: 1, b: 1}, a: [{send: hello}], b: [{send: no}]}\n",
        "4:67: there is no policy 'no'",
    ),
    (
        HEAD + "steps:\n  - branch: [{when: event.a, steps: [{send: no}]}]\n  - send: hello\n",
        "4:45: there is no policy 'no'",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_what_is_wrong_is_said_once_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    said = said_of(tmp_path, text)
    assert len(said) == 1, said
    assert said[0].startswith(f"j.yaml:{expected}")


def test_a_journey_and_its_policy_may_start_each_other(tmp_path: Path) -> None:
    ring = "journey: j\nenter: {event: kaskad.message.succeeded}\nsteps: [{send: hello}]\n"
    said = said_of(tmp_path, ring)
    assert len(said) == 1
    assert "hello starts j starts hello, in a circle; the chain is cut after 8 hops" in said[0]
    apart = ring.replace("succeeded}", "succeeded, when: \"event.policy == 'p'\"}")
    assert said_of(tmp_path, apart) == []


def test_a_journey_may_start_itself_by_what_it_publishes(tmp_path: Path) -> None:
    own = HEAD + "steps: [{send: hello}, {publish: {type: e}}]\n"
    said = said_of(tmp_path, own)
    assert len(said) == 1
    assert "j may be started by what it publishes" in said[0]


def test_journeys_stand_in_a_file_of_their_name(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("config/journeys/other.yaml", "journey: j\nenter: {event: e}\nsteps: [{send: p}]\n")
    place.write("config/kaskad.yaml", CONFIG)
    assert place.said() == [
        "journeys/other.yaml:1:10: warning: the journey 'j' is in a file named other.yaml;"
        " rename the file to j.yaml"
    ]


def test_what_looks_like_a_journey_and_is_not_read_is_warned_of(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("config/journeys/j.yml", WELL)
    place.write("config/journeys/old/j.yaml", WELL)
    assert place.said() == [
        "journeys/j.yml:1:1: warning: this file is not read, because it ends in .yml;"
        " rename it to j.yaml",
        "journeys/old/j.yaml:1:1: warning: this file is not read, because it is in a folder below"
        " the journeys; move it to journeys/j.yaml",
    ]
