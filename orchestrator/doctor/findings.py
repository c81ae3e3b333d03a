"""The doctor's findings: one for each thing that was examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """``unreachable`` may fix itself: something did not answer now."""

    FINE = "fine"
    WARNING = "warning"
    ERROR = "error"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    ``area`` is configuration, store, kafka, providers, http or process; ``check`` one word for what
    was examined; ``where`` the file, host or setting; ``what`` a sentence; ``fix`` what to do,
    empty if all is well.
    """

    area: str
    check: str
    result: Result
    where: str
    what: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of findings: an area, and the place in it."""

    area: str
    where: str

    def at(self, where: str) -> Subject:
        """Another place in the same area."""
        return Subject(self.area, where)

    def fine(self, check: str, what: str) -> Finding:
        return Finding(self.area, check, Result.FINE, self.where, what)

    def warning(self, check: str, what: str, fix: str) -> Finding:
        """It works, and will cause harm one day."""
        return Finding(self.area, check, Result.WARNING, self.where, what, fix)

    def error(self, check: str, what: str, fix: str) -> Finding:
        """It cannot work, or a promise would be broken."""
        return Finding(self.area, check, Result.ERROR, self.where, what, fix)

    def unreachable(self, check: str, what: str, fix: str) -> Finding:
        """It did not answer."""
        return Finding(self.area, check, Result.UNREACHABLE, self.where, what, fix)

    def expect(self, check: str, sound: bool, what: str, fix: str) -> Finding:
        """Fine if it is sound, else an error, in the same words."""
        return self.fine(check, what) if sound else self.error(check, what, fix)

    def graded(
        self, check: str, value: float, what: str, fix: str, *, limits: tuple[float, float]
    ) -> Finding:
        """A number: fine, a warning above the first limit, an error above the second."""
        if value > limits[1]:
            return self.error(check, what, fix)
        return self.warning(check, what, fix) if value > limits[0] else self.fine(check, what)


def words_of(problem: BaseException) -> str:
    """The first line of a problem's text, or its type if it has none."""
    text = str(problem).strip()
    return text.splitlines()[0] if text else type(problem).__name__


def schema_state(at: Subject, steps: Mapping[str, bool], migrate: str, current: str) -> Finding:
    """Whether a store's schema is as this release needs it; ``current`` is said if it is."""
    waiting = [name for name, done in steps.items() if not done]
    if not waiting:
        return at.fine("schema", current)
    what = f"to come: {', '.join(waiting)}"
    if migrate == "manual":
        return at.error("schema", what, "run `kaskad migrate up`, or set migrate: auto")
    return at.fine("schema", f"{what}; run at the next start")


def exit_code(findings: Sequence[Finding]) -> int:
    """1 if there is an error, else 3 if something did not answer, else 0 (also with warnings)."""
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
    lines = []
    for row in [(*headings, "what", ""), *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]).rstrip())
        if row[5]:
            lines.append(" " * (widths[0] + 2) + f"→ {row[5]}")
    counts = {result: sum(one.result is result for one in findings) for result in Result}
    return [*lines, "", ", ".join(f"{count} {result.value}" for result, count in counts.items())]
