"""
Quiet hours and caps, worked out the slow way: by looking at what clocks show, and by counting.

A window is real time from the first instant at which the local clock has reached its start to the
last at which it has not yet reached its end; so that is what is searched for, a quarter of an hour
at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from orchestrator.core.policy import Governance, QuietHours
from tests.simulation.scenery import Human

STEP_MS = 900_000
AROUND = 4 * 40
"""
Quarters of an hour on each side of a local midnight: more than any window and any change of clocks.
"""


def local(wall_ms: int, zone: str) -> datetime:
    """The local time in a zone, without its offset."""
    return (
        datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    )


def is_quiet(rule: QuietHours, wall_ms: int, zone: str) -> bool:
    """Whether an instant lies in a window that began on one of the days around it."""
    today = local(wall_ms, zone).date()
    for back in (-1, 0, 1):
        day = today - timedelta(days=back)
        window = rule.windows[day.weekday()]
        if window is None:
            continue
        length = (
            window.end - window.start
            if window.end > window.start
            else window.end - window.start + 1_440
        )
        start, end = span(day.toordinal(), window.start, window.start + length, zone)
        if start <= wall_ms < end:
            return True
    return False


@lru_cache(maxsize=4_096)
def span(day: int, start_minute: int, end_minute: int, zone: str) -> tuple[int, int]:
    """
    A window of a local day as [first instant at or past its start, first instant after its end was
    last unreached).
    """
    midnight = datetime.fromordinal(day)
    start, end = (
        midnight + timedelta(minutes=start_minute),
        midnight + timedelta(minutes=end_minute),
    )
    around = int((start - datetime(1970, 1, 1)).total_seconds() * 1000)
    instants = [around + quarter * STEP_MS for quarter in range(-AROUND, AROUND)]
    shown = [(instant, local(instant, zone)) for instant in instants]
    first = min(instant for instant, clock in shown if clock >= start)
    last = max(instant for instant, clock in shown if clock < end)
    return first, last + STEP_MS


def zone_of(human: Human, governance: Governance, rule: QuietHours | None = None) -> str:
    """Whose clock counts."""
    if rule is not None and rule.zone != "recipient":
        return rule.zone
    fallback = rule.fallback_zone if rule is not None else None
    return human.zone or fallback or governance.time_zone


def counted(charged: Iterable[int], now: int, window_ms: int | None, zone: str) -> int:
    """Count the instants that lie in the window that ends now: rolling, or the local day."""
    if window_ms is not None:
        return sum(at > now - window_ms for at in charged)
    today = local(now, zone).date()
    return sum(local(at, zone).date() == today for at in charged)
