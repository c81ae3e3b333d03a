"""What fails again and again rests, longer each time, and never for ever."""

from __future__ import annotations

from orchestrator.engine.failing import HELD_MAX, LONGEST_SECONDS, Failing, delay_seconds


def test_pauses_grow_up_to_the_longest_one() -> None:
    pauses = [delay_seconds(tries, "pump") for tries in range(1, 100)]
    assert 1 <= pauses[0] < pauses[1] < pauses[2] < pauses[3]
    assert max(pauses) <= LONGEST_SECONDS + 0.25
    assert max(delay_seconds(tries, "timers", 2.0) for tries in range(1, 100)) == 2.0


def test_a_key_rests_longer_after_each_failure_and_is_tried_again() -> None:
    now = 0.0
    failing: Failing[str] = Failing(lambda: now)
    rests = []
    for _ in range(4):
        failing.failed("a")
        began = now
        while failing.resting():
            now += 0.25
        rests.append(now - began)
    assert rests == sorted(set(rests))


def test_a_key_that_worked_begins_anew_and_others_never_rested() -> None:
    failing: Failing[str] = Failing(lambda: 0.0)
    failing.failed("a")
    assert failing.resting() == {"a"}
    failing.worked("a")
    assert failing.resting() == set()


def test_the_first_tries_may_be_free() -> None:
    failing: Failing[str] = Failing(lambda: 0.0)
    for _ in range(3):
        failing.failed("a", free_tries=3)
        assert failing.resting() == set()
    failing.failed("a", free_tries=3)
    assert failing.resting() == {"a"}


def test_the_keys_that_are_remembered_are_bounded() -> None:
    failing: Failing[int] = Failing(lambda: 0.0)
    for number in range(HELD_MAX * 2):
        failing.failed(number)
    assert len(failing.resting()) == HELD_MAX
    assert failing.full
