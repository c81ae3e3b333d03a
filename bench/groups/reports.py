"""
Measure a report on a year of counts, asked of the service of a large installation as it runs.
"""

from __future__ import annotations

from datetime import date, timedelta

from bench.figures import at_most
from bench.groups.commands import timed
from bench.groups.rounds import Rounds
from bench.place import Service
from bench.stage import Stage
from orchestrator.core.counts import MEASURES, CountKey, Counts
from orchestrator.stores.rows import Changes
from orchestrator.stores.sqlite.store import SqliteStore

DAYS, MESSAGES_A_DAY = 365, 1_000_000
POLICIES, REPEATS = 50, 5
CLASSES = ("transactional", "service", "promotional")
ENDS = (("succeeded", ""), ("exhausted", "not_delivered_in_time"), ("suppressed", "opted_out"))
CHANNELS = ("viber", "sms", "email")
FIRST_DAY = date(2025, 11, 21)


class Reports(Rounds):
    name = "reports"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        year = f"of a year of {MESSAGES_A_DAY // 1_000_000} M messages a day"
        self.figure("report_seconds", f"kaskad report {year}", "s", at_most(1.0))
        self.figure("channels_seconds", f"kaskad report channels by week {year}", "s", at_most(1.0))

    async def turn(self) -> None:
        installation = self.stage.installation("reports")
        await fill(installation)
        await installation.start()
        last = FIRST_DAY + timedelta(DAYS)
        span = ("--since", str(FIRST_DAY), "--until", str(last), "-c", str(installation.config))
        weekly = ("channels", "--by", "week", *span)
        for _ in range(REPEATS):
            await self.attempt(lambda: self._time("report_seconds", *span), "report_seconds")
            await self.attempt(lambda: self._time("channels_seconds", *weekly), "channels_seconds")

    async def _time(self, key: str, *arguments: str) -> None:
        seconds = await timed(self.stage.folder / "reports.log", "report", *arguments)
        self.figures[key].values.append(seconds)


async def fill(installation: Service) -> None:
    """Write the counts of a year through the store, a month at a time."""
    store = SqliteStore(installation.database)
    await store.open()
    keys = [key for number in range(POLICIES) for key in keys_of(number)]
    try:
        for month in range(0, DAYS, 30):
            days = [FIRST_DAY + timedelta(day) for day in range(month, min(month + 30, DAYS))]
            await store.commit(Changes(counts=counts_of(keys, days)))
    finally:
        await store.close()


def keys_of(number: int) -> list[CountKey]:
    """The rows that one policy has on each day: all of it, its channels, why steps ended."""
    head = (f"policy_{number}", "v1", CLASSES[number % len(CLASSES)], "", "", "")
    rows = [("", "", "")]
    for channel in CHANNELS:
        rows += [(channel, "", ""), (channel, "", "no_address"), (channel, "", "opted_out")]
        rows.append((channel, "succeeded", ""))
    rows += [("", status, reason) for status, reason in ENDS[1:]]
    return [CountKey(*head, *row, "UAH") for row in rows]


def counts_of(keys: list[CountKey], days: list[date]) -> Counts:
    """The same numbers for each key on each day."""
    a_row = MESSAGES_A_DAY // POLICIES
    numbers = [a_row // (place + 1) for place in range(len(MEASURES))]
    return {(int(f"{day:%Y%m%d}"), key): list(numbers) for day in days for key in keys}
