"""Sums of counts, and the columns that reports make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from orchestrator.core.counts import (
    CLICKED,
    COMPLAINED,
    CONVERTED,
    COST,
    DELIVERED,
    MEASURES,
    MILLIONTHS,
    READ,
    REPLIED,
    SENDS,
    UNSUBSCRIBED,
)
from orchestrator.reports.document import Cell, Column, column, share
from orchestrator.stores.counts import CountRow

Numbers = Sequence[int]


def sum_of(rows: Iterable[CountRow]) -> list[int]:
    """The sum of several rows."""
    total = [0] * len(MEASURES)
    for row in rows:
        for place, number in enumerate(row.numbers):
            total[place] += number
    return total


def money(numbers: Numbers) -> str:
    """The cost as a decimal string, exact to the millionth, with two digits at least."""
    whole = Decimal(numbers[COST]) / MILLIONTHS
    cents = whole.quantize(Decimal("0.01"))
    return str(cents if cents == whole else whole.normalize())


def of_sent(measure: int) -> Callable[[Numbers], Cell]:
    return lambda numbers: share(numbers[measure], numbers[SENDS])


def of_delivered(measure: int) -> Callable[[Numbers], Cell]:
    return lambda numbers: share(numbers[measure], numbers[DELIVERED])


def cost_column(currency: str) -> Column:
    return column("cost", "money", f"cost {currency}".rstrip())


SENT_COLUMNS: tuple[tuple[Column, Callable[[Numbers], Cell]], ...] = (
    (column("sent"), lambda numbers: numbers[SENDS]),
    (column("delivered", "share"), of_sent(DELIVERED)),
    (column("read", "share"), of_delivered(READ)),
    (column("clicked", "share"), of_delivered(CLICKED)),
    (column("replied", "share"), of_delivered(REPLIED)),
    (column("converted", "share"), of_sent(CONVERTED)),
    (column("unsubscribed", "share", "opt-out"), of_delivered(UNSUBSCRIBED)),
    (column("complained", "share", "spam"), of_delivered(COMPLAINED)),
)
"""
What became of what was sent. Deliveries and conversions are shares of sends, the rest of
deliveries.
"""


def sent_columns(*names: str) -> list[tuple[Column, Callable[[Numbers], Cell]]]:
    """Some of them, in their order."""
    return [one for one in SENT_COLUMNS if one[0]["name"] in names]
