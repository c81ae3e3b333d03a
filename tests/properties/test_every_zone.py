"""
Quiet hours in every zone there is, at every change of its clocks: no night is broken, nobody waits
too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pytest

from orchestrator.core.policy import DAY_MS, MINUTE_MS, QuietHours, Window
from orchestrator.core.quiet_hours import quiet_until
from tests.core.clocks import ZONES, Clock, clock_changes, local

DAYS = 5
RULES = {
    "night": QuietHours("night", (Window(21 * 60, 9 * 60),) * 7),
    "small hours": QuietHours("small", (Window(90, 210),) * 7),
    "midnight": QuietHours("midnight", (Window(0, 60),) * 7),
    "to midnight": QuietHours("late", (Window(23 * 60, 0),) * 7),
}
YEARS, MORE_YEARS = range(2025, 2027), range(1995, 2037)


def edges(zone: str, years: range) -> Iterator[int]:
    first, last = (
        int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000
        for year in (years.start, years.stop)
    )
    return (instant for instant in clock_changes(zone) if first <= instant < last)


def offsets(zone: str, instant: int) -> tuple[int, ...]:
    """The key by which two zones' clocks are equal around an instant."""
    days = range(-DAYS, DAYS + 1)
    return tuple(
        int((local(instant + day * DAY_MS, zone).utcoffset() or timedelta()).total_seconds())
        for day in days
    )


@lru_cache(maxsize=64)
def quiet_minutes(instant: int, shown: tuple[int, ...], zone: str) -> dict[str, tuple[bool, ...]]:
    """
    The oracle's answer for the minutes around a change, by rule; once for all zones whose clocks
    show the same.
    """
    clock = Clock(zone, instant - 2 * DAY_MS, DAYS)
    return {name: tuple(clock.quiet_minutes(rule)) for name, rule in RULES.items()}


REPRESENTATIVE: dict[tuple[int, tuple[int, ...]], str] = {}


def check_edge(zone: str, instant: int, stride: int) -> int:
    """Ask about minutes around a change; how many of them were quiet."""
    shown = offsets(zone, instant)
    like = REPRESENTATIVE.setdefault((instant, shown), zone)
    found = 0
    oracle = quiet_minutes(instant, shown, like)
    for name, rule in RULES.items():
        quiet = oracle[name]
        begin = instant - 2 * DAY_MS
        near = range(2 * 1440 - 300, 2 * 1440 + 300, 7)
        for minute in (*range(720, 3 * 1440, stride), *near):
            now = begin + minute * MINUTE_MS
            first_free = quiet.index(False, minute)
            expected = begin + first_free * MINUTE_MS if first_free > minute else None
            assert quiet_until(rule, now, zone) == expected, (
                f"{name} in {zone} at {local(now, zone).isoformat()}"
            )
            found += expected is not None
    return found


@pytest.mark.parametrize("part", range(4))
def test_every_deferred_instant_is_the_first_allowed_one_in_every_zone_at_every_change(
    part: int,
) -> None:
    found = changes = 0
    for zone in ZONES[part::4]:
        for instant in list(edges(zone, YEARS))[:1]:
            changes += 1
            found += check_edge(zone, instant, 1440)
    assert changes > 30
    assert found > changes


@pytest.mark.verify
@pytest.mark.parametrize("part", range(8))
def test_every_deferred_instant_is_the_first_allowed_one_through_four_decades(part: int) -> None:
    first, after = (MORE_YEARS.start + len(MORE_YEARS) * n // 8 for n in (part, part + 1))
    years = range(first, after)
    # by instant, so that zones whose clocks show the same find the oracle's answer in its cache
    changes = sorted((instant, zone) for zone in ZONES for instant in edges(zone, years))
    for instant, zone in changes:
        check_edge(zone, instant, 360)
    assert len(changes) > 500
    print(f"{len(changes)} changes of clocks in {years}")


@pytest.mark.parametrize("part", range(2))
def test_in_every_zone_an_ordinary_night_ends_at_nine(part: int) -> None:
    for zone in ZONES[part::2]:
        noon = 1_780_000_000_000  # 2026-05-28T20:26:40Z
        until = quiet_until(RULES["night"], noon, zone)
        shown = local(noon, zone)
        if 9 <= shown.hour < 21:
            assert until is None
        else:
            assert until is not None
            assert (local(until, zone).hour, local(until, zone).minute) == (9, 0)
            assert until - noon <= 12 * 60 * MINUTE_MS + 3 * 60 * MINUTE_MS
