"""The days of a report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

By = Literal["day", "week", "month"]
BY: tuple[By, ...] = get_args(By)
DAYS_DEFAULT = 30
DAYS_MAX = 366 * 10
LAST = re.compile(r"([1-9][0-9]{0,3})d")
DATE_FIX = "write a day (2026-11-21), or 30d for the last 30 days"


class BadPeriod(ValueError):
    """``field`` names the value that is wrong; the text says what is, and how to fix it."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field


@dataclass(frozen=True, slots=True)
class Period:
    """The days from ``since`` up to and without ``until``."""

    since: date
    until: date
    by: By | None = None

    def bucket(self, day: int) -> str:
        """The label of the part of the period that a day (20261121) is in."""
        found = date_of(day)
        if self.by == "month":
            return f"{found:%Y-%m}"
        if self.by == "week":
            return (found - timedelta(days=found.weekday())).isoformat()
        return found.isoformat()

    def buckets(self) -> list[str]:
        """Every label of the period, in order, also of parts in which nothing happened."""
        days = (self.since + timedelta(days=n) for n in range((self.until - self.since).days))
        return list(dict.fromkeys(self.bucket(number_of(day)) for day in days))


def read_period(
    since: str | None, until: str | None, by: str | None, now: int, zone: str
) -> Period:
    """
    The period that a caller means: by default the last 30 days with today. ``now`` is UTC
    milliseconds. Raises ``BadPeriod``.
    """
    today = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(zone)).date()
    try:
        return period_of(since, until, by, today)
    except OverflowError:  # a day before the first one that there is
        raise BadPeriod(
            "since", f"a report begins in the year 1 at the earliest; {DATE_FIX}"
        ) from None


def period_of(since: str | None, until: str | None, by: str | None, today: date) -> Period:
    """The same, counted from today. Raises ``BadPeriod`` and ``OverflowError``."""
    end = today + timedelta(days=1) if until is None else read_day("until", until, today)
    if since is None:
        start = end - timedelta(days=DAYS_DEFAULT)
    elif last := LAST.fullmatch(since):
        start = end - timedelta(days=int(last[1]))
    else:
        start = read_day("since", since, today)
    if not start < end:
        raise BadPeriod("until", f"{end} is not after {start}: `until` is the first day left out")
    if (end - start).days > DAYS_MAX:
        raise BadPeriod("since", "a report has ten years at most; begin it later")
    for word in BY:
        if by in (None, word):
            return Period(start, end, None if by is None else word)
    raise BadPeriod("by", f"there is no `by` {by!r}; use {', '.join(BY)}")


def read_day(field: str, text: str, today: date) -> date:
    """A day as ``2026-11-21`` or ``7d`` (so many days ago). Raises ``BadPeriod``."""
    if last := LAST.fullmatch(text):
        return today - timedelta(days=int(last[1]) - 1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadPeriod(field, f"{text!r} is no day; {DATE_FIX}") from None


def number_of(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def date_of(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)
