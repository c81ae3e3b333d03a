"""
A report as data: tables, charts and notes. The API returns it as it is; text, CSV and the page are
made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, TypedDict

ColumnKind = Literal["text", "count", "share", "money"]
Cell = str | int | float | None


class Column(TypedDict):
    """
    A column of a table. A ``share`` is a number from 0 to 1 (null if it is one of nothing),
    ``money`` a decimal string in the currency that the title names.
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
    """A line or a kind of bars: a value for each label of its chart, null where there is none."""

    name: str
    values: list[float | None]


class Chart(TypedDict):
    """A chart: ``lines`` over time, or ``bars``. Everything in it stands in a table, too."""

    title: str
    kind: Literal["lines", "bars"]
    unit: ColumnKind
    labels: list[str]
    series: list[Series]


class ReportView(TypedDict):
    """
    A report over the days from ``since`` up to and without ``until`` in ``time_zone``. Messages
    are counted on the day on which they start.
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
    if kind == "count" and isinstance(value, int | float):
        return spaced(f"{value:,.0f}")
    if kind == "money" and isinstance(value, str):
        return spaced(f"{Decimal(value):,.2f}")
    return str(value)


def spaced(text: str) -> str:
    """Thousands kept apart by a blank that does not break the line."""
    return text.replace(",", "\N{NO-BREAK SPACE}")
