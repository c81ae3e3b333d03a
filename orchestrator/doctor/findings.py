"""What the doctor says: one finding for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """``unreachable`` is what may fix itself: something that did not answer now."""

    FINE = "fine"
    WARNING = "warning"
    ERROR = "error"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    ``area`` is configuration, store, kafka, providers, http or process; ``check`` one word for what
    was looked at; ``where`` the file, host or setting; ``what`` a sentence; ``fix`` what to do,
    empty where all is well.
    """

    area: str
    check: str
    result: Result
    where: str
    what: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def fine(area: str, check: str, where: str, what: str) -> Finding:
    """All is well."""
    return Finding(area, check, Result.FINE, where, what)


def warning(area: str, check: str, where: str, what: str, fix: str) -> Finding:
    """It works, and will hurt one day."""
    return Finding(area, check, Result.WARNING, where, what, fix)


def error(area: str, check: str, where: str, what: str, fix: str) -> Finding:
    """It cannot work, or a promise would be broken."""
    return Finding(area, check, Result.ERROR, where, what, fix)


def unreachable(area: str, check: str, where: str, what: str, fix: str) -> Finding:
    """It did not answer."""
    return Finding(area, check, Result.UNREACHABLE, where, what, fix)


def by_limits(
    area: str,
    check: str,
    where: str,
    what: str,
    fix: str,
    *,
    value: float,
    warn_over: float,
    refuse_over: float,
) -> Finding:
    """A finding about a number: fine, a warning over one limit, an error over the other."""
    if value > refuse_over:
        return error(area, check, where, what, fix)
    if value > warn_over:
        return warning(area, check, where, what, fix)
    return fine(area, check, where, what)


def exit_code(findings: Sequence[Finding]) -> int:
    """
    1 where something is wrong, else 3 where something did not answer, else 0; warnings let
    everything pass.
    """
    results = {finding.result for finding in findings}
    if Result.ERROR in results:
        return 1
    return 3 if Result.UNREACHABLE in results else 0


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """A table for people, each fix under its finding, and the totals."""
    rows = [
        (one.result.value, one.area, one.check, one.where, one.what, one.fix) for one in findings
    ]
    headings = ("result", "area", "check", "where")
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    widths[-1] = min(widths[-1], 48)
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(headings, widths, strict=True))
        + "  what"
    ]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]).rstrip())
        if row[5]:
            lines.append(" " * (widths[0] + 2) + f"→ {row[5]}")
    counts = {result: sum(one.result is result for one in findings) for result in Result}
    return [*lines, "", ", ".join(f"{count} {result.value}" for result, count in counts.items())]
