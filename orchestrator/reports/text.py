"""A report as text for a terminal of 80 columns, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from orchestrator.reports.document import Cell, Column, ReportTable, ReportView, shown

WIDTH = 80
TEXT_MIN = 10


def as_text(view: ReportView) -> str:
    """Tables under their titles, as wide as a terminal."""
    days = f", {view['since']} up to {view['until']} ({view['time_zone']})"
    head = view["title"] + (days if view["since"] else "")
    return "\n".join([head, *lines_of(view)]) + "\n"


def lines_of(view: ReportView) -> Iterator[str]:
    if "conclusion" in view:
        yield from ("", *wrapped(view["conclusion"]["words"]))
    for one in view["tables"]:
        yield ""
        if len(view["tables"]) > 1:
            yield f"{one['title']}:"
        yield from table_lines(one)
    if view["notes"]:
        yield ""
    for note in view["notes"]:
        yield from wrapped(note)


def wrapped(text: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, WIDTH)


def table_lines(found: ReportTable) -> list[str]:
    """The rows of a table; text columns give way where it would be too wide."""
    columns = found["columns"]
    cells = [[one["title"] for one in columns]]
    cells += [
        [shown(value, one["kind"]) for value, one in zip(row, columns, strict=True)]
        for row in found["rows"]
    ]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    for place in reversed(range(len(columns))):
        room = WIDTH - sum(widths) - 2 * (len(widths) - 1)
        if room < 0 and columns[place]["kind"] == "text":
            widths[place] = max(TEXT_MIN, widths[place] + room)
    return [line(row, columns, widths) for row in cells]


def line(row: list[str], columns: list[Column], widths: list[int]) -> str:
    parts = []
    for text, one, width in zip(row, columns, widths, strict=True):
        fitting = text if len(text) <= width else f"{text[: width - 1]}…"
        parts.append(fitting.ljust(width) if one["kind"] == "text" else fitting.rjust(width))
    return "  ".join(parts).rstrip()


def as_csv(view: ReportView) -> str:
    """The first table (RFC 4180); shares are numbers from 0 to 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for one in view["tables"][:1]:
        writer.writerow([column["name"] for column in one["columns"]])
        writer.writerows([[plain(value) for value in row] for row in one["rows"]])
    return out.getvalue()


def plain(value: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value
