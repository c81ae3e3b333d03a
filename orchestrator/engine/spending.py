"""The cost of a day so far. A budget's day is a calendar day in the installation's zone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestrator.core.recipient import Instant


@dataclass
class Spending:
    """``spent`` is per channel, in millionths; ``ends`` is the end of ``day``, UTC milliseconds."""

    day: str = ""
    ends: Instant = 0
    spent: dict[str, int] = field(default_factory=dict)


def day_of(now: Instant, time_zone: str) -> Spending:
    """The day of an instant, with nothing spent yet."""
    zone = ZoneInfo(time_zone)
    today = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone).date()
    ends = datetime.combine(today + timedelta(days=1), time(), zone)
    return Spending(today.isoformat(), int(ends.timestamp() * 1000))
