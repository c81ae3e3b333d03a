"""Whether what was counted is what a scan over the stored messages counts."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from orchestrator.core.counts import MEASURES, CountKey, Counts, add_message
from orchestrator.reports.period import Period, number_of
from orchestrator.stores.port import Store

PAGE = 500
PAUSE_SECONDS = 0.005
DIFFERENCES_MAX = 1_000


class CountDifference(TypedDict):
    """A sum that is not what the messages give; ``key`` says of what, without empty fields."""

    day: int
    key: dict[str, str]
    measure: str
    counted: int
    scanned: int


class VerifiedView(TypedDict):
    """
    What a comparison has found. ``busy`` are days on which something was counted meanwhile, so
    that they were not compared.
    """

    messages: int
    days: int
    busy: list[int]
    differences: list[CountDifference]


async def counted(store: Store, period: Period) -> dict[tuple[int, CountKey], tuple[int, ...]]:
    """All sums of messages, without zeros."""
    rows = await store.counts(
        number_of(period.since),
        number_of(period.until),
        ("day", *CountKey._fields),
        {"journey": ("",)},
    )
    return {
        (row.group[0], CountKey._make(row.group[1:])): row.numbers for row in rows if any(row[1])
    }


async def verify(store: Store, period: Period, zone: str) -> VerifiedView:
    """
    Compare the counts of a period with its messages, all of which must still be stored (see
    ``retention.messages``). It reads them page by page, and may run beside a service.
    """
    before = await counted(store, period)
    days = range(number_of(period.since), number_of(period.until))
    scanned: Counts = {}
    after, count = "", 0
    while page := await store.messages(since=after, limit=PAGE, oldest_first=True):
        for stored in page:
            found: Counts = {}
            add_message(found, None, stored.message, zone)
            if next(iter(found))[0] in days:
                add_message(scanned, None, stored.message, zone)
                count += 1
        after = f"{page[-1].message.id}0"  # the first id after it
        await asyncio.sleep(PAUSE_SECONDS)
    now = await counted(store, period)
    busy = {key[0] for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    differences = [
        difference(key, measure, now, scanned)
        for key in sorted(now.keys() | scanned.keys())
        for measure in range(len(MEASURES))
        if key[0] not in busy and number(now, key, measure) != number(scanned, key, measure)
    ]
    return {
        "messages": count,
        "days": len({key[0] for key in now.keys() | scanned.keys()} - busy),
        "busy": sorted(busy),
        "differences": differences[:DIFFERENCES_MAX],
    }


Sums = dict[tuple[int, CountKey], tuple[int, ...]] | Counts


def number(sums: Sums, key: tuple[int, CountKey], measure: int) -> int:
    found = sums.get(key)
    return found[measure] if found is not None else 0


def difference(
    key: tuple[int, CountKey], measure: int, now: Sums, scanned: Sums
) -> CountDifference:
    return {
        "day": key[0],
        "key": {name: value for name, value in key[1]._asdict().items() if value},
        "measure": MEASURES[measure],
        "counted": number(now, key, measure),
        "scanned": number(scanned, key, measure),
    }
