"""
Quiet hours keep people's nights in every zone and through every clock change.

Two oracles stand beside the code: ``Clock``, a list of what a local clock shows minute by minute,
and ``shown_as_quiet``, which takes a local time literally, as a person would who looks at the wall.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st

from orchestrator.core.policy import DAY_MS, MINUTE_MS, QuietHours, Window
from orchestrator.core.quiet_hours import quiet_until, valid_zone, zone_for, zone_or
from tests.core.clocks import (
    DAY_MINUTES,
    ODD_ZONES,
    ZONES,
    Clock,
    at,
    kinds_of_change,
    local,
    places_and_times,
)
from tests.properties.sizes import examples

ALL_DAY = Window(0, DAY_MINUTES)


def clock(text: str) -> int:
    """``21:00`` as minutes."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def window(text: str) -> Window:
    start, end = text.split("-")
    return Window(clock(start), clock(end))


def nightly(text: str) -> QuietHours:
    return QuietHours("night", (window(text),) * 7)


def weekly(**days: str) -> QuietHours:
    """``weekly(sat="all", sun="23:00-10:00")``; days that are not named have no window."""
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return QuietHours("week", tuple(read(days.get(name)) for name in names))


def read(text: str | None) -> Window | None:
    if text is None:
        return None
    return ALL_DAY if text == "all" else window(text)


def until(rule: QuietHours, text: str, zone: str) -> str | None:
    """The answer as RFC 3339 in the zone, to be read beside the question."""
    found = quiet_until(rule, at(text), zone)
    return None if found is None else local(found, zone).isoformat()


# -- the second oracle


def shown_as_quiet(rule: QuietHours, instant: int, zone: str) -> bool:
    """
    Does the local time, read off the wall and taken literally, lie in a window of today or of
    yesterday?
    """
    wall = local(instant, zone).replace(tzinfo=None)
    for days_ago in (0, 1):
        midnight = datetime(wall.year, wall.month, wall.day) - timedelta(days=days_ago)
        found = rule.windows[midnight.weekday()]
        if found is None:
            continue
        start = midnight + timedelta(minutes=found.start)
        end = midnight + timedelta(minutes=found.end)
        if end <= start:
            end += timedelta(days=1)
        if start <= wall < end:
            return True
    return False


# -- what is written is what is kept


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-21T20:59:59.999+02:00", None),
        ("2026-11-21T21:00:00+02:00", "2026-11-22T09:00:00+02:00"),
        ("2026-11-21T23:59:59.999+02:00", "2026-11-22T09:00:00+02:00"),
        ("2026-11-22T00:00:00+02:00", "2026-11-22T09:00:00+02:00"),
        ("2026-11-22T08:59:59.999+02:00", "2026-11-22T09:00:00+02:00"),
        ("2026-11-22T09:00:00+02:00", None),
    ],
)
def test_a_night_starts_inclusive_and_ends_exclusive(moment: str, expected: str | None) -> None:
    assert until(nightly("21:00-09:00"), moment, "Europe/Kyiv") == expected


def test_the_night_is_the_recipients_and_not_the_servers() -> None:
    moment = "2026-11-21T13:00:00+00:00"
    assert until(nightly("21:00-09:00"), moment, "Asia/Tokyo") == "2026-11-22T09:00:00+09:00"
    assert until(nightly("21:00-09:00"), moment, "America/New_York") == "2026-11-21T09:00:00-05:00"
    assert until(nightly("21:00-09:00"), moment, "Europe/Kyiv") is None


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    rule = weekly(fri="23:00-10:00")
    assert (
        until(rule, "2026-11-21T02:00:00+02:00", "Europe/Kyiv") == "2026-11-21T10:00:00+02:00"
    )  # Saturday morning
    assert (
        until(rule, "2026-11-20T02:00:00+02:00", "Europe/Kyiv") is None
    )  # Friday morning is Thursday's
    assert (
        until(weekly(sun="23:00-02:00"), "2026-11-23T01:00:00+02:00", "Europe/Kyiv")
        == "2026-11-23T02:00:00+02:00"
    )


def test_windows_that_follow_each_other_are_walked_through_to_their_common_end() -> None:
    rule = weekly(fri="22:00-08:00", sat="all", sun="all", mon="00:00-07:30")
    assert until(rule, "2026-11-20T22:30:00+02:00", "Europe/Kyiv") == "2026-11-23T07:30:00+02:00"


def test_the_longer_of_two_windows_that_overlap_counts() -> None:
    rule = weekly(fri="20:00-12:00", sat="01:00-09:00")
    assert until(rule, "2026-11-21T02:00:00+02:00", "Europe/Kyiv") == "2026-11-21T12:00:00+02:00"


def test_a_window_that_ends_when_it_starts_is_a_day_long() -> None:
    rule = weekly(sat="09:00-09:00")
    assert until(rule, "2026-11-21T09:00:00+02:00", "Europe/Kyiv") == "2026-11-22T09:00:00+02:00"
    assert until(rule, "2026-11-22T08:59:00+02:00", "Europe/Kyiv") == "2026-11-22T09:00:00+02:00"
    assert until(rule, "2026-11-21T08:59:00+02:00", "Europe/Kyiv") is None


def test_a_rule_without_windows_is_never_quiet() -> None:
    assert until(weekly(), "2026-11-21T02:00:00+02:00", "Europe/Kyiv") is None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Kyiv", "Pacific/Apia"])
def test_a_rule_that_never_ends_answers_eight_days_from_now(zone: str) -> None:
    now = at("2026-10-20T02:00:00+00:00")
    assert quiet_until(nightly("00:00-24:00"), now, zone) == now + 8 * DAY_MS
    assert quiet_until(nightly("12:00-12:00"), now, zone) == now + 8 * DAY_MS


# -- when the clocks are changed


@pytest.mark.parametrize("minute", range(60))
def test_an_end_that_the_clock_skips_is_the_next_moment_that_exists(minute: int) -> None:
    """Kyiv, 29 March 2026: after 02:59:59 comes 04:00."""
    night = nightly(f"22:00-03:{minute:02}")
    end = "2026-03-29T04:00:00+03:00"
    assert until(night, "2026-03-29T02:59:00+02:00", "Europe/Kyiv") == end
    assert until(night, end, "Europe/Kyiv") is None


def test_a_start_that_the_clock_skips_is_the_next_moment_that_exists() -> None:
    assert until(nightly("03:30-05:00"), "2026-03-29T02:59:59+02:00", "Europe/Kyiv") is None
    assert (
        until(nightly("03:30-05:00"), "2026-03-29T04:00:00+03:00", "Europe/Kyiv")
        == "2026-03-29T05:00:00+03:00"
    )


def test_a_window_that_the_clock_skips_altogether_is_not_kept_that_day() -> None:
    for moment in ("2026-03-29T02:59:59.999+02:00", "2026-03-29T04:00:00+03:00"):
        assert until(nightly("03:15-03:45"), moment, "Europe/Kyiv") is None


def test_an_end_that_the_clock_shows_twice_is_the_second_one() -> None:
    """Kyiv, 25 October 2026: after 03:59:59 comes 03:00 once more."""
    rule = nightly("22:00-03:30")
    for moment in (
        "2026-10-25T03:29:00+03:00",
        "2026-10-25T03:45:00+03:00",
        "2026-10-25T03:00:00+02:00",
    ):
        assert until(rule, moment, "Europe/Kyiv") == "2026-10-25T03:30:00+02:00"
    assert until(rule, "2026-10-25T03:30:00+02:00", "Europe/Kyiv") is None


def test_an_end_at_the_very_hour_that_is_repeated_is_the_second_one_too() -> None:
    assert (
        until(nightly("22:00-03:00"), "2026-10-25T02:59:00+03:00", "Europe/Kyiv")
        == "2026-10-25T03:00:00+02:00"
    )
    assert (
        until(nightly("22:00-04:00"), "2026-10-25T02:59:00+03:00", "Europe/Kyiv")
        == "2026-10-25T04:00:00+02:00"
    )


def test_a_start_that_the_clock_shows_twice_is_the_first_one() -> None:
    rule = nightly("03:30-08:00")
    assert until(rule, "2026-10-25T03:29:59+03:00", "Europe/Kyiv") is None
    for moment in (
        "2026-10-25T03:30:00+03:00",
        "2026-10-25T03:10:00+02:00",
        "2026-10-25T03:30:00+02:00",
    ):
        assert until(rule, moment, "Europe/Kyiv") == "2026-10-25T08:00:00+02:00"


def test_a_clock_that_is_set_back_over_midnight_does_not_open_the_window_again() -> None:
    """St. John's, 7 November 2010: at one minute past midnight it was 23:01 the day before."""
    rule = weekly(sun="all")
    zone = "America/St_Johns"
    assert until(rule, "2010-11-06T23:59:59-02:30", zone) is None
    assert until(rule, "2010-11-07T00:00:00-02:30", zone) == "2010-11-08T00:00:00-03:30"
    assert until(rule, "2010-11-06T23:30:00-03:30", zone) == "2010-11-08T00:00:00-03:30"
    friday = weekly(
        fri="23:30-23:30"
    )  # still runs in the first minute of Sunday, because Saturday is not over
    assert until(friday, "2010-11-07T00:00:30-02:30", zone) == "2010-11-06T23:30:00-03:30"


def test_a_day_that_a_country_skipped_keeps_nobody_waiting_longer() -> None:
    """Samoa went from 29 to 31 December 2011: the 30th never was."""
    rule = weekly(thu="21:00-09:00", fri="12:00-15:00")
    assert until(rule, "2011-12-29T22:00:00-10:00", "Pacific/Apia") == "2011-12-31T00:00:00+14:00"


@pytest.mark.parametrize(
    ("zones", "least"),
    [(ODD_ZONES, 10), pytest.param(ZONES, 50, marks=pytest.mark.verify)],
    ids=["odd zones", "every zone"],
)
def test_every_minute_around_every_kind_of_clock_change_is_as_the_clock_on_the_wall_says(
    zones: tuple[str, ...], least: int
) -> None:
    """
    Each kind of change that these zones make, against the list of what the clock showed, minute by
    minute.
    """
    kinds = kinds_of_change(zones)
    assert len(kinds) > least
    for (minute, jump), (zone, change) in kinds.items():
        begin = change - 4 * DAY_MS
        shown = Clock(zone, begin, 11)
        for rule in rules_around(minute, jump):
            quiet = shown.quiet_minutes(rule)
            looked_at = {
                n + near
                for n in range(1, len(quiet))
                if quiet[n] != quiet[n - 1]
                for near in (-1, 0)
            }
            looked_at |= set(range(0, len(quiet), 31))
            for n in sorted(n for n in looked_at if 2 * DAY_MINUTES <= n < 6 * DAY_MINUTES):
                expected = None if not quiet[n] else begin + quiet.index(False, n) * MINUTE_MS
                found = quiet_until(rule, begin + n * MINUTE_MS, zone)
                assert found == expected, (zone, rule.windows, local(begin + n * MINUTE_MS, zone))


def rules_around(minute: int, jump: int) -> list[QuietHours]:
    """
    Windows that start and end before, at, inside and after the time that is skipped or repeated.
    """
    inside = minute + jump // 2
    edges = [
        (minute - 300, inside),
        (inside, minute + 240),
        (minute, minute + jump),
        (inside - 5, inside + 5),
    ]
    edges += [(minute + jump, minute), (minute - 720, minute + 719)]
    written = [Window(start % DAY_MINUTES, end % DAY_MINUTES) for start, end in edges]
    rules = [QuietHours("edge", (one,) * 7) for one in written if one.start != one.end]
    whole = Window(inside % DAY_MINUTES, inside % DAY_MINUTES)
    alternate = QuietHours("alternate", (whole, None, whole, None, whole, None, None))
    return [
        *rules,
        alternate,
        weekly(mon="all", wed="all"),
        weekly(tue="all", thu="20:00-11:00", sat="all", sun="all"),
    ]


windows = (
    st.none()
    | st.builds(Window, st.integers(0, DAY_MINUTES - 1), st.integers(0, DAY_MINUTES))
    | st.just(ALL_DAY)
)
rules = st.builds(QuietHours, st.just("any"), st.tuples(*[windows] * 7))


@examples(120, 1500, rules, places_and_times())
def test_a_deferred_message_leaves_at_the_first_instant_that_is_not_quiet_where_its_recipient_is(
    rule: QuietHours, where: tuple[str, int]
) -> None:
    zone, now = where
    found = quiet_until(rule, now, zone)
    if found is None:
        assert not shown_as_quiet(rule, now, zone)
        return
    assert found > now
    assert quiet_until(rule, found - 1, zone) is not None
    if found < now + 8 * DAY_MS:
        assert not shown_as_quiet(rule, found, zone)
        assert quiet_until(rule, found, zone) is None
        assert quiet_until(rule, found - 1, zone) == found


@examples(12, 150, rules, places_and_times())
def test_any_week_in_any_zone_is_as_the_clock_on_the_wall_says(
    rule: QuietHours, where: tuple[str, int]
) -> None:
    zone, now = where
    begin = (now - 3 * DAY_MS) // MINUTE_MS * MINUTE_MS
    quiet = Clock(zone, begin, 14).quiet_minutes(rule)
    for n in range(2 * DAY_MINUTES, 4 * DAY_MINUTES, 97):
        found = quiet_until(rule, begin + n * MINUTE_MS, zone)
        if not quiet[n]:
            assert found is None
        elif found is not None and found < begin + (n + 8 * DAY_MINUTES) * MINUTE_MS:
            assert found == begin + quiet.index(False, n) * MINUTE_MS
        else:
            assert all(quiet[n : n + 8 * DAY_MINUTES]) and found is not None


# -- whose zone it is


def rule_in(zone: str, fallback: str | None = None) -> QuietHours:
    return QuietHours("night", (window("21:00-09:00"),) * 7, zone=zone, fallback_zone=fallback)


def test_a_rule_is_read_in_the_recipients_zone_then_in_its_fallback_then_in_the_installations() -> (
    None
):
    assert zone_for(rule_in("recipient", "Europe/Kyiv"), "Asia/Tokyo", "UTC") == "Asia/Tokyo"
    assert zone_for(rule_in("recipient", "Europe/Kyiv"), None, "UTC") == "Europe/Kyiv"
    assert zone_for(rule_in("recipient"), None, "Europe/Warsaw") == "Europe/Warsaw"


def test_a_rule_that_names_a_zone_is_read_there_whoever_the_recipient_is() -> None:
    assert zone_for(rule_in("Europe/Kyiv"), "Asia/Tokyo", "UTC") == "Europe/Kyiv"


def test_a_recipients_zone_that_nobody_knows_counts_as_none() -> None:
    assert zone_for(rule_in("recipient", "Europe/Kyiv"), "Mars/Base", "UTC") == "Europe/Kyiv"
    assert zone_or("Mars/Base", "Europe/Warsaw") == "Europe/Warsaw"
    assert zone_or("", "Europe/Warsaw") == "Europe/Warsaw"
    assert zone_or("Asia/Tokyo", "Europe/Warsaw") == "Asia/Tokyo"


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Kyiv", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kathmandu"]
)
def test_iana_names_are_zones(name: str) -> None:
    assert valid_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "europe/kyiv",
        "+02:00",
        "EET+2",
        "localtime",
        "Factory",
        "right/UTC",
        "../etc",
        "/UTC",
        "a\0b",
        "x" * 5000,
    ],
)
def test_what_is_no_iana_name_is_no_zone_and_no_file_is_opened_for_it(name: str) -> None:
    assert not valid_zone(name)


def test_a_zone_that_slipped_in_unchecked_is_read_as_utc() -> None:
    assert until(nightly("21:00-09:00"), "2026-11-21T22:00:00+00:00", "UTC") is not None
    assert quiet_until(nightly("21:00-09:00"), at("2026-11-21T22:00:00+00:00"), "Mars/Base") == at(
        "2026-11-22T09:00:00Z"
    )
