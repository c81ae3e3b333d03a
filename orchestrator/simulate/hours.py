"""
The hours of the day at which people act, so that what arrives at night is read in the morning.

Every local hour has an activity, 1 on average. A lag is kept as *waking time*: the activity summed
up over it, so that an hour of the night counts for little. The same message, sent at another hour,
then takes the same waking time and another span of the clock. This is a proportional hazards model
with an effect of the hour (Cox 1972) and a piecewise constant baseline (Breslow 1974).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from orchestrator.core.policy import DAY_MS, HOUR_MS, SECOND_MS

HOURS = 24
SPANS_MIN = 200
SPANS_MAX = 4_000
ROUNDS = 10
ACTIVITY_MIN = 0.02
"""No hour is so quiet that nobody ever acts in it."""
PSEUDO_ACTS = 5.0
"""So many acts of average activity are added to every hour."""
EDGES: tuple[int, ...] = (0, *(SECOND_MS * 2**place for place in range(17)))
"""Where the baseline hazard changes: 1 s, 2 s, 4 s, … 18 h of waking time."""


class Hours:
    """``activity`` of the 24 local hours of ``zone``, 1 on average."""

    def __init__(self, activity: Sequence[float], zone: ZoneInfo) -> None:
        mean = sum(activity) / HOURS
        self.activity = tuple(one / mean for one in activity)
        self._until = (0.0, *accumulate(one * HOUR_MS for one in self.activity))
        self._zone = zone
        self._offsets: dict[int, int] = {}

    def waking_ms(self, start: int, end: int) -> float:
        """The waking time between two instants (UTC milliseconds)."""
        return self._waking(self.local(end)) - self._waking(self.local(start))

    def span_ms(self, start: int, waking_ms: float) -> int:
        """How long after ``start`` so much waking time has passed."""
        local = self.local(start)
        day, rest = divmod(self._waking(local) + waking_ms, DAY_MS)
        hour = min(bisect_right(self._until, rest) - 1, HOURS - 1)
        within = (rest - self._until[hour]) / self.activity[hour]
        return max(0, round(day * DAY_MS + hour * HOUR_MS + within - local))

    def local(self, instant: int) -> int:
        """An instant on the wall clock of the zone, as milliseconds."""
        hour = instant // HOUR_MS
        offset = self._offsets.get(hour)
        if offset is None:
            shift = datetime.fromtimestamp(instant / 1000, UTC).astimezone(self._zone).utcoffset()
            offset = self._offsets[hour] = int(shift.total_seconds() * 1000) if shift else 0
        return instant + offset

    def _waking(self, local: float) -> float:
        day, rest = divmod(local, DAY_MS)
        hour = int(rest // HOUR_MS)
        return day * DAY_MS + self._until[hour] + (rest - hour * HOUR_MS) * self.activity[hour]


def fit_hours(spans: Sequence[tuple[int, int]], zone: ZoneInfo) -> Hours:
    """
    The hours in which people act, from spans (UTC milliseconds) between what reached them and what
    they did; all hours alike where there are too few.
    """
    hours = Hours([1.0] * HOURS, zone)
    if len(spans) < SPANS_MIN:
        return hours
    chosen = spans[:: max(1, len(spans) // SPANS_MAX)]
    acts = [0] * HOURS
    for _, end in chosen:
        acts[hour_of(hours.local(end))] += 1
    for _ in range(ROUNDS):
        hazard = cumulative_hazard([hours.waking_ms(*span) for span in chosen])
        expected = [0.0] * HOURS
        for start, end in chosen:
            for hour, amount in shares_by_hour(hours, start, end, hazard):
                expected[hour] += amount
        hours = Hours(
            [
                max(ACTIVITY_MIN, was * (seen + PSEUDO_ACTS) / (due + PSEUDO_ACTS))
                for was, seen, due in zip(hours.activity, acts, expected, strict=True)
            ],
            zone,
        )
    return hours


def hour_of(local: float) -> int:
    return int(local % DAY_MS // HOUR_MS)


def cumulative_hazard(lags: Sequence[float]) -> tuple[float, ...]:
    """The baseline's cumulative hazard at each edge, and its slope past the last one."""
    acts, exposed = [0] * len(EDGES), [0.0] * len(EDGES)
    for lag in lags:
        last = bisect_right(EDGES, lag) - 1
        acts[last] += 1
        exposed[last] += lag - EDGES[last]
        for place in range(last):
            exposed[place] += EDGES[place + 1] - EDGES[place]
    slopes = [seen / time if time else 0.0 for seen, time in zip(acts, exposed, strict=True)]
    widths = [high - low for low, high in pairwise(EDGES)]
    grown = accumulate(slope * width for slope, width in zip(slopes, widths, strict=False))
    return (0.0, *grown, slopes[-1])


def hazard_at(hazard: Sequence[float], lag: float) -> float:
    place = bisect_right(EDGES, lag) - 1
    over = lag - EDGES[place]
    if place == len(EDGES) - 1:
        return hazard[place] + over * hazard[-1]
    grows = (hazard[place + 1] - hazard[place]) / (EDGES[place + 1] - EDGES[place])
    return hazard[place] + over * grows


def shares_by_hour(
    hours: Hours, start: int, end: int, hazard: Sequence[float]
) -> Iterator[tuple[int, float]]:
    """How many acts the baseline expects in each hour that a span touches."""
    before, at = 0.0, start
    while at < end:
        until = min(end, at + HOUR_MS - hours.local(at) % HOUR_MS)
        passed = hours.waking_ms(start, until)
        after = hazard_at(hazard, passed)
        yield hour_of(hours.local(at)), after - before
        before, at = after, until
