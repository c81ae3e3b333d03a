"""A clock for demonstrations: it may run faster and be set forward, and never goes back."""

from __future__ import annotations

from orchestrator.primitives.clock import FastClock

START = 1_800_000_000_000
DAY = 86_400_000


def test_a_skip_sets_the_clock_forward_and_never_back() -> None:
    clock = FastClock(START, 1.0)
    clock.skip_to(START + 40 * DAY)
    assert START + 40 * DAY <= clock.now() < START + 41 * DAY
    before = clock.now()
    clock.skip_to(START)
    assert clock.now() >= before


def test_a_skip_leaves_the_speed_as_it_was() -> None:
    clock = FastClock(START, 600.0)
    clock.skip_to(START + DAY)
    assert clock.real_seconds(600_000) == 1.0
