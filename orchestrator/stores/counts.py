"""
The rows of reports' counts: what a batch adds, and what a report reads.

A key has a number that is a hash of it: every process knows it without asking. A store remembers
which keys it has written, so that most batches write none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from orchestrator.core.counts import MEASURES, CountKey, Counts
from orchestrator.stores.rows import ReceiptCount
from orchestrator.stores.sql import Driver

KNOWN_KEYS_MAX = 65_536
NUMBERS = ", ".join(f"sum(c.{measure})" for measure in MEASURES)
GROUPS = {"day": "c.day", **{name: f"k.{name}" for name in CountKey._fields}}
"""What a report may group by, and the columns that have it."""


class CountRow(NamedTuple):
    """
    The sums of one group: its values in the order that was asked for (a day as 20261121), and a
    number for each of ``MEASURES``.
    """

    group: tuple[Any, ...]
    numbers: tuple[int, ...]


class CountStore(Protocol):
    """Counts of messages and journeys; batches alone add to them (``Changes.counts``)."""

    async def counts(
        self,
        since: int,
        until: int,
        by: Sequence[str] = (),
        where: Mapping[str, Collection[str]] | None = None,
    ) -> list[CountRow]:
        """
        The sums of the days from ``since`` up to and without ``until`` (as ``day_number``), grouped
        by ``day`` and by fields of ``CountKey``, in their order; only those with one of the values
        that ``where`` allows for a field.
        """


class CountTable(Driver):
    """Implements ``CountStore``."""

    async def counts(
        self,
        since: int,
        until: int,
        by: Sequence[str] = (),
        where: Mapping[str, Collection[str]] | None = None,
    ) -> list[CountRow]:
        values: list[Any] = [since, until]
        clauses = ""
        for name, allowed in (where or {}).items():
            first = len(values) + 1
            values += allowed
            places = ", ".join(f"{self.parameter}{n}" for n in range(first, len(values) + 1))
            clauses += f" and {GROUPS[name]} in ({places or 'null'})"
        columns = ", ".join(GROUPS[name] for name in by)
        text = self.queries["counts"].format(
            columns=f"{columns}, {NUMBERS}" if columns else NUMBERS,
            where=clauses,
            group=f"group by {columns} order by {columns}" if columns else "having count(*) > 0",
        )
        rows = await self.fetch_text(text, *values)
        return [CountRow(tuple(row[: len(by)]), tuple(map(int, row[len(by) :]))) for row in rows]


class CounterTables(Driver):
    """Implements ``CounterStore``."""

    async def spent(self, day: str) -> dict[str, int]:
        return {channel: millionths for channel, millionths in await self.fetch("spent", day)}

    async def answer_hours(self) -> list[int]:
        counts = dict(await self.fetch("answer_hours"))
        return [counts.get(hour, 0) for hour in range(24)]

    async def count_receipts(self, counts: Sequence[tuple[str, int, int, int]]) -> None:
        # in one order in every process, so that two of them never wait for each other
        await self.execute_many("count_receipts", sorted(counts))

    async def receipt_counts(self, since_minute: int) -> list[ReceiptCount]:
        return [ReceiptCount(*row) for row in await self.fetch("receipt_counts", since_minute)]


class KnownKeys:
    """The keys that this process has written to the store, or found there."""

    def __init__(self) -> None:
        self._known: set[CountKey] = set()

    def unknown(self, counts: Counts) -> list[CountKey]:
        """Those that may have to be written, in one order in every process."""
        return sorted({key for _, key in counts} - self._known) if counts else []

    def take(self, keys: Iterable[CountKey]) -> None:
        """These have been committed."""
        if len(self._known) > KNOWN_KEYS_MAX:
            self._known.clear()
        self._known.update(keys)


@lru_cache(maxsize=KNOWN_KEYS_MAX)
def key_number(key: CountKey) -> int:
    """The number of a key: 63 bits of a hash of it."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def count_rows(counts: Counts, slot: int) -> list[tuple[int, ...]]:
    """
    The rows to add: day, key, slot and numbers, in one order in every process, so that two batches
    never wait for each other. What has been added and taken back within the batch is left out.
    """
    return sorted(
        (day, key_number(key), slot, *numbers)
        for (day, key), numbers in counts.items()
        if any(numbers)
    )


def key_rows(keys: Sequence[CountKey], counts: Counts) -> list[tuple[Any, ...]]:
    """The rows of keys: number, the first day seen with it, fields."""
    days: dict[CountKey, int] = {}
    for day, key in counts:
        days[key] = min(day, days.get(key, day))
    return [(key_number(key), days[key], *key) for key in keys]
