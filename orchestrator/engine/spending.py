"""The cost of a day so far. A budget's day is a calendar day in the installation's zone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestrator.core.recipient import Instant
from orchestrator.engine.rules import Rules
from orchestrator.stores.port import Store


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


async def spending_at(now: Instant, known: Spending, store: Store, rules: Rules) -> Spending:
    """The day's spending: read once a day; with a shared store and budgets, for each batch."""
    same_day = bool(known.day) and now < known.ends
    others_spend = store.shared and bool(rules.governance.budgets)
    if same_day and not others_spend:
        return known
    today = day_of(now, rules.governance.time_zone)
    today.spent = await store.spent(today.day)
    return today
