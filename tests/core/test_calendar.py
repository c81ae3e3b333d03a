"""
Days, weeks and months are those of the place where the recipient lives, whatever its clocks do.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import strategies as st

from orchestrator.core.policy import HOUR_MS
from orchestrator.core.quiet_hours import calendar_bounds
from tests.core.clocks import at, local, places_and_times
from tests.properties.sizes import examples


def bounds(kind: str, text: str, zone: str) -> tuple[str, str]:
    start, end = calendar_bounds(kind, at(text), zone)  # type: ignore[arg-type]
    return local(start, zone).isoformat(), local(end, zone).isoformat()


def test_a_day_lasts_as_long_as_the_clocks_make_it() -> None:
    for text, hours in (
        ("2026-03-29T12:00:00+03:00", 23),
        ("2026-10-25T12:00:00+02:00", 25),
        ("2026-11-21T12:00:00Z", 24),
    ):
        start, end = calendar_bounds("day", at(text), "Europe/Kyiv")
        assert end - start == hours * HOUR_MS
        assert (
            local(start, "Europe/Kyiv").time()
            == local(end, "Europe/Kyiv").time()
            == datetime.min.time()
        )


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        (
            "America/Sao_Paulo",
            "2018-11-04T05:00:00Z",
            "2018-11-04T01:00:00-02:00",
            "2018-11-05T00:00:00-02:00",
        ),
        (
            "America/Sao_Paulo",
            "2018-11-03T05:00:00Z",
            "2018-11-03T00:00:00-03:00",
            "2018-11-04T01:00:00-02:00",
        ),
        (
            "America/Sao_Paulo",
            "2018-02-18T02:30:00Z",
            "2018-02-17T00:00:00-02:00",
            "2018-02-18T00:00:00-03:00",
        ),
        (
            "Asia/Beirut",
            "2026-03-28T23:00:00Z",
            "2026-03-29T01:00:00+03:00",
            "2026-03-30T00:00:00+03:00",
        ),
        (
            "America/Havana",
            "2026-11-01T04:30:00Z",
            "2026-11-01T00:00:00-04:00",
            "2026-11-02T00:00:00-05:00",
        ),
        (
            "America/Havana",
            "2026-11-01T05:30:00Z",
            "2026-11-01T00:00:00-04:00",
            "2026-11-02T00:00:00-05:00",
        ),
        (
            "America/St_Johns",
            "2010-11-07T02:45:00Z",
            "2010-11-07T00:00:00-02:30",
            "2010-11-08T00:00:00-03:30",
        ),
        (
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T00:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
        ),
        (
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-31T00:00:00+14:00",
            "2012-01-01T00:00:00+14:00",
        ),
    ],
)
def test_a_day_whose_midnight_is_missing_or_doubled_still_has_a_start_and_an_end(
    zone: str, moment: str, start: str, end: str
) -> None:
    assert bounds("day", moment, zone) == (start, end)


def test_a_week_runs_from_monday_and_a_month_from_its_first() -> None:
    assert bounds("week", "2026-03-29T22:00:00+03:00", "Europe/Kyiv") == (
        "2026-03-23T00:00:00+02:00",
        "2026-03-30T00:00:00+03:00",
    )
    assert bounds("month", "2026-12-31T23:30:00+02:00", "Europe/Kyiv") == (
        "2026-12-01T00:00:00+02:00",
        "2027-01-01T00:00:00+02:00",
    )


def test_a_calendar_window_that_does_not_exist_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"'year' is not known; write day, week or month"):
        calendar_bounds("year", 0, "UTC")  # type: ignore[arg-type]


@examples(100, 1000, st.sampled_from(["day", "week", "month"]), places_and_times())
def test_calendar_windows_follow_each_other_without_gap_or_overlap(
    kind: str, where: tuple[str, int]
) -> None:
    zone, now = where
    start, end = calendar_bounds(kind, now, zone)  # type: ignore[arg-type]
    assert start <= now < end
    for inside in (start, end - 1):
        assert calendar_bounds(kind, inside, zone) == (start, end)  # type: ignore[arg-type]
    assert calendar_bounds(kind, end, zone)[0] == end  # type: ignore[arg-type]
    assert calendar_bounds(kind, start - 1, zone)[1] == start  # type: ignore[arg-type]
