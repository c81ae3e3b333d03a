"""
The readings of clocks and their changes: the ground truth that tests of local time stand on.

``Clock`` is an oracle for quiet hours. It writes down what a local clock shows, minute by minute,
and paints windows on that list; it shares no idea with the code that it is held against.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

from orchestrator.core.policy import DAY_MS, MINUTE_MS, QuietHours
from orchestrator.core.quiet_hours import valid_zone

ZONES = tuple(sorted(name for name in available_timezones() if valid_zone(name)))
DAY_MINUTES = 1440
FIRST_YEAR, LAST_YEAR = (
    1973,
    2038,
)  # offsets are whole minutes in these years, and the daylight rules are all known


def at(text: str) -> int:
    """An RFC 3339 time as UTC milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def local(instant: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(zone))


class Clock:
    """
    The local time of each minute from ``begin``, and the minutes that a rule keeps quiet.
    """

    def __init__(self, zone: str, begin: int, days: int) -> None:
        self.begin = begin
        place = ZoneInfo(zone)
        shown = [
            datetime.fromtimestamp(begin // 1000 + 60 * n, place) for n in range(days * DAY_MINUTES)
        ]
        self.wall = [one.toordinal() * DAY_MINUTES + one.hour * 60 + one.minute for one in shown]
        self.highest_so_far = list(accumulate(self.wall, max))
        self.lowest_from_here = list(accumulate(reversed(self.wall), min))[::-1]

    def quiet_minutes(self, rule: QuietHours) -> list[bool]:
        """
        Each window runs from the first minute at or past its start to the last one that shows its
        end, or is past it.
        """
        quiet = [False] * len(self.wall)
        first_day, last_day = min(self.wall) // DAY_MINUTES - 1, max(self.wall) // DAY_MINUTES
        for day in range(first_day, last_day + 1):
            found = rule.windows[datetime.fromordinal(day).weekday()]
            if found is None:
                continue
            start = day * DAY_MINUTES + found.start
            end = day * DAY_MINUTES + found.end + (DAY_MINUTES if found.end <= found.start else 0)
            first = bisect_left(self.highest_so_far, start)
            after = (
                bisect_right(self.lowest_from_here, end) - 1
            )  # the last minute that shows its end, or less
            if self.wall[after] != end:
                after += 1
            quiet[first:after] = [True] * len(quiet[first:after])
        return quiet


@cache
def clock_changes(zone: str) -> tuple[int, ...]:
    """
    The instants (ms) at which the zone's offset changed or will, in the years that are looked at.
    """
    place = ZoneInfo(zone)

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, place).utcoffset()

    stride = 5 * 86_400
    first, last = (
        int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR)
    )
    seconds = range(first, last, stride)
    offsets = [offset(second) for second in seconds]
    found = []
    for (before, after), end in zip(pairwise(offsets), seconds[1:], strict=True):
        if before != after:
            early, late = end - stride, end
            while late - early > 1:
                middle = (early + late) // 2
                early, late = (middle, late) if offset(middle) == before else (early, middle)
            found.append(late * 1000)
    return tuple(found)


ODD_ZONES = (
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Europe/Kyiv",
    "Pacific/Apia",
)
"""Half-hour and two-hour changes, changes at midnight, a skipped day, and ordinary zones."""


@cache
def kinds_of_change(zones: tuple[str, ...]) -> dict[tuple[int, int], tuple[str, int]]:
    """
    One example (zone, instant) of each: the minute of the day at which clocks are changed, and by
    how many minutes.
    """
    kinds: dict[tuple[int, int], tuple[str, int]] = {}
    for zone in zones:
        for instant in clock_changes(zone):
            last, first = local(instant - MINUTE_MS, zone), local(instant, zone)
            jump = (first.replace(tzinfo=None) - last.replace(tzinfo=None)) // timedelta(
                minutes=1
            ) - 1
            kinds[(last.hour * 60 + last.minute + 1) % DAY_MINUTES, jump] = (zone, instant)
    return kinds


@st.composite
def places_and_times(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and an instant that is often near one of its clock changes."""
    zone = draw(st.sampled_from(ZONES))
    changes = clock_changes(zone)
    near_one = draw(st.booleans())
    if changes and near_one:
        return zone, draw(st.sampled_from(changes)) + draw(st.integers(-2 * DAY_MS, 2 * DAY_MS))
    return zone, draw(
        st.integers(
            at(f"{FIRST_YEAR}-02-01T00:00:00+00:00"), at(f"{LAST_YEAR}-01-01T00:00:00+00:00")
        )
    )
