"""
A report as data: tables, charts and notes. The API returns it as it is; text, CSV and the page are
made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NotRequired, TypedDict

ColumnKind = Literal["text", "count", "share", "points", "money"]
Cell = str | int | float | None


class Column(TypedDict):
    """
    A column of a table. A ``share`` is a number from 0 to 1 (null if it is one of nothing),
    ``points`` one share less another (-1 to 1, shown in percentage points), ``money`` a decimal
    string in the currency that the title names.
    """

    name: str
    title: str
    kind: ColumnKind


class ReportTable(TypedDict):
    """A table: each row has a cell for each column."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]


class Series(TypedDict):
    """
    A line or a kind of bars: a value for each label of its chart, null where there is none.
    ``low`` and ``high`` are the bounds of each value, where it has some.
    """

    name: str
    values: list[float | None]
    low: NotRequired[list[float | None]]
    high: NotRequired[list[float | None]]


class Chart(TypedDict):
    """A chart: ``lines`` over time, or ``bars``. Everything in it stands in a table, too."""

    title: str
    kind: Literal["lines", "bars"]
    unit: ColumnKind
    labels: list[str]
    series: list[Series]


class ConclusionView(TypedDict):
    """
    What an experiment shows. ``state`` is ``winner``, or why none is named: ``nobody`` has met it,
    ``too_few`` people, ``not_shown`` (arms do not differ enough), ``one_arm`` is all that can
    succeed, ``ratio_off`` (people do not have the arms that the weights say), ``changed`` while it
    ran, ``unknown`` (no stored policy has it). ``words`` say so in a sentence.
    """

    state: Literal[
        "winner",
        "nobody",
        "too_few",
        "not_shown",
        "one_arm",
        "ratio_off",
        "changed",
        "unknown",
    ]
    winner: str | None
    control: str
    metric: str | None
    words: str


class ReportView(TypedDict):
    """
    A report over the days from ``since`` up to and without ``until`` in ``time_zone``. Messages
    are counted on the day on which they start. An experiment's has a ``conclusion``.
    """

    report: str
    name: str | None
    title: str
    since: str
    until: str
    by: str | None
    time_zone: str
    tables: list[ReportTable]
    charts: list[Chart]
    notes: list[str]
    conclusion: NotRequired[ConclusionView]


def column(name: str, kind: ColumnKind = "count", title: str = "") -> Column:
    """A column, titled like its name unless said otherwise."""
    return {"name": name, "title": title or name.replace("_", " "), "kind": kind}


def share(part: float, whole: float) -> float | None:
    """A part of a whole, None of nothing."""
    return round(part / whole, 6) if whole else None


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> ReportTable:
    return {"title": title, "columns": list(columns), "rows": [list(row) for row in rows]}


def shown(value: Cell, kind: ColumnKind) -> str:
    """A cell as people read it."""
    if value is None:
        return "–"
    if kind == "share" and isinstance(value, int | float):
        return f"{value:.1%}"
    if kind == "points" and isinstance(value, int | float):
        return f"{value * 100:+.2f}"
    if kind == "count" and isinstance(value, int | float):
        return spaced(f"{value:,.0f}")
    if kind == "money" and isinstance(value, str):
        return spaced(f"{Decimal(value):,.2f}")
    return str(value)


def spaced(text: str) -> str:
    """Thousands kept apart by a blank that does not break the line."""
    return text.replace(",", "\N{NO-BREAK SPACE}")
