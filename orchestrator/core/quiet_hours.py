"""
Quiet hours, and the calendar of the place where a recipient lives.

A rule's window is written in local time, but it is an interval of real time: it begins the first
time that the clock shows its start, and ends the last time that the clock shows its end. A start or
an end that the clock skips, because it is set forward, is the next moment that exists. So an hour
that repeats itself inside a window, or on its edge, is quiet both times. On every ordinary day the
intervals are simply what is written.

Nobody is called at 8:59 because an offset was looked up a second too early: offsets come from the
time zone database for the very instant in question, never from today's offset.

Instants are UTC milliseconds. Zones are IANA names.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

from orchestrator.core.policy import DAY_MS, CalendarKind, QuietHours, Window
from orchestrator.core.recipient import Instant

QUIET_MAX_MS = 8 * DAY_MS
"""
How far ahead the end of quiet hours is looked for: a week, and a day for what the clocks do
meanwhile.
"""

DAY_MINUTES = 1_440
DAY_SECONDS = 86_400
SECOND, NO_OFFSET = timedelta(seconds=1), timedelta()
EPOCH = datetime(1970, 1, 1)
EPOCH_ORDINAL = EPOCH.toordinal()
SET_BACK_MAX_SECONDS = 12 * 3_600
"""
More than any clock has been set back by since 1973 (seven hours, at Vostok in 1994; three in this
century).
"""
NOT_PLACES = frozenset(
    {"localtime", "Factory"}
)  # the machine's own setting, and "not configured", are no one's zone


def quiet_until(rule: QuietHours, now: Instant, zone: str) -> Instant | None:
    """
    The first instant after ``now`` at which no window of ``rule`` applies, None if none does now.

    Windows that touch or overlap count as one: a Friday night that runs into a quiet Saturday ends
    when Saturday does. A window belongs to the local day on which it begins, so half past two on a
    Monday morning may still be Sunday's.

    If nothing opens within eight days (a rule may cover the whole week), the answer is ``now`` + 8
    days; the rule is asked again then.
    """
    place = _place(zone)
    local = datetime.fromtimestamp(now // 1000, place)
    if not _shown_as_quiet(rule, local) and not _shown_twice(local):
        return None
    until = now
    while until - now < QUIET_MAX_MS:
        later = _end_of_window_at(rule, until, place)
        if later is None:
            return until if until > now else None
        until = later
    return now + QUIET_MAX_MS


def local_time(at: Instant, zone: str) -> datetime:
    """What the clock of a zone shows, to the second."""
    return datetime.fromtimestamp(at // 1000, _place(zone))


def next_time_at(minute: int, after: Instant, zone: str) -> Instant:
    """
    The first instant after ``after`` at which the clock of ``zone`` shows ``minute`` minutes of the
    day, or jumps over them.
    """
    place = _place(zone)
    day = datetime.fromtimestamp(after // 1000, place).date() - timedelta(days=1)
    while True:  # three days at most: the clock may have been set back over midnight
        at = _first_time_at(_wall_seconds(day) + minute * 60, place)
        if at > after:
            return at
        day += timedelta(days=1)


def zone_for(rule: QuietHours, recipient_zone: str | None, default_zone: str) -> str:
    """
    The zone in which a rule is read: the one it names, else the recipient's.

    A recipient without a known zone gets the rule's ``fallback_zone``, else the installation's
    ``default_zone``: a night kept by a neighbour's clock beats none.
    """
    if rule.zone != "recipient":
        return rule.zone
    return zone_or(recipient_zone, rule.fallback_zone or default_zone)


def zone_or(recipient_zone: str | None, default_zone: str) -> str:
    """The recipient's zone where it is a real one, else the default."""
    return recipient_zone if recipient_zone and valid_zone(recipient_zone) else default_zone


def valid_zone(name: str) -> bool:
    """Whether ``name`` is an IANA zone as the database spells it (``Europe/Kyiv``, no path)."""
    return name in _known_zones()


def calendar_bounds(kind: CalendarKind, now: Instant, zone: str) -> tuple[Instant, Instant]:
    """
    The calendar day, week (from Monday, ISO 8601) or month in which ``now`` falls in ``zone``, as
    [start, end).

    A day lasts 23, 24, 25 or however many hours the clocks give it. Where midnight is skipped it
    starts at the first moment that exists, and where midnight comes twice, at the first; so days
    follow each other without gap or overlap.

    Raises ValueError for any other ``kind``.
    """
    if kind not in get_args(CalendarKind):
        raise ValueError(f"calendar window {kind!r} is not known; write day, week or month")
    place = _place(zone)
    today = datetime.fromtimestamp(now // 1000, place).date()
    start, end = _bounds_of(kind, today, place)
    while (
        now >= end
    ):  # the clock was set back over midnight: it shows yesterday, but today has already begun
        today += timedelta(days=1)
        start, end = _bounds_of(kind, today, place)
    return start, end


def next_time_of_day(minute: int, now: Instant, zone: str, weekday: int | None = None) -> Instant:
    """
    The first instant after ``now`` at which a clock in ``zone`` shows this minute of the day, on
    this weekday (0 is Monday) if one is given. A time that the clock skips is the moment of the
    jump, one that it shows twice is the first.
    """
    place = _place(zone)
    day = datetime.fromtimestamp(now // 1000, place).date() - timedelta(days=1)
    while True:
        if weekday is None or day.weekday() == weekday:
            at = _first_time_at(_wall_seconds(day) + minute * 60, place)
            if at > now:
                return at
        day += timedelta(days=1)


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - NOT_PLACES


@lru_cache(maxsize=1024)
def _place(zone: str) -> ZoneInfo:
    """The zone's rules. An invalid name is read as UTC: one bad profile must not stop the rest."""
    return ZoneInfo(zone if valid_zone(zone) else "UTC")


def _minutes(window: Window) -> int:
    """A window's length. One that ends no later than it starts runs over midnight."""
    return (
        window.end - window.start
        if window.end > window.start
        else window.end - window.start + DAY_MINUTES
    )


def _shown_as_quiet(rule: QuietHours, local: datetime) -> bool:
    """Whether the clock's time, taken literally, is in a window of today or yesterday."""
    weekday, minute = local.weekday(), local.hour * 60 + local.minute
    today, yesterday = rule.windows[weekday], rule.windows[weekday - 1]
    if today is not None and 0 <= minute - today.start < _minutes(today):
        return True
    return yesterday is not None and minute + DAY_MINUTES - yesterday.start < _minutes(yesterday)


def _shown_twice(local: datetime) -> bool:
    """Whether the clock shows this time twice; only then can the literal look miss a window."""
    return local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()


def _end_of_window_at(rule: QuietHours, at: Instant, place: ZoneInfo) -> Instant | None:
    """
    The end of a window that holds ``at``, None where there is none.

    Two days back and one ahead, because a clock that is set back over midnight shows the day before
    once more.
    """
    local = datetime.fromtimestamp(at // 1000, place)
    shown = (local.replace(tzinfo=None) - EPOCH) // SECOND
    for days in (-2, -1, 0, 1):
        day = local.date() + timedelta(days=days)
        window = rule.windows[day.weekday()]
        if window is None:
            continue
        start = _wall_seconds(day) + window.start * 60
        end = start + _minutes(window) * 60
        if start - SET_BACK_MAX_SECONDS <= shown < end + SET_BACK_MAX_SECONDS:
            until = _last_time_at(end, place)
            if _first_time_at(start, place) <= at < until:
                return until
    return None


def _bounds_of(kind: CalendarKind, day: date, place: ZoneInfo) -> tuple[Instant, Instant]:
    """The window of ``kind`` around a local date."""
    first, after = day, day + timedelta(days=1)
    if kind == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    elif kind == "month":
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    return _midnight(first, place), _midnight(after, place)


@lru_cache(maxsize=16_384)
def _midnight(day: date, place: ZoneInfo) -> Instant:
    """The instant at which a local date begins."""
    return _first_time_at(_wall_seconds(day), place)


def _wall_seconds(day: date) -> int:
    """A local midnight as seconds on the wall clock since 1970, in any zone."""
    return (day.toordinal() - EPOCH_ORDINAL) * DAY_SECONDS


def _first_time_at(wall_seconds: int, place: ZoneInfo) -> Instant:
    """The first instant at which the local clock shows this time, or jumps past it."""
    before, after = _offsets(wall_seconds, place)
    if before < after:
        return _jump(wall_seconds, before, after, place)
    return (wall_seconds - before) * 1000


def _last_time_at(wall_seconds: int, place: ZoneInfo) -> Instant:
    """The last instant at which the local clock shows this time, or jumps past it."""
    before, after = _offsets(wall_seconds, place)
    if before < after:
        return _jump(wall_seconds, before, after, place)
    return (wall_seconds - after) * 1000


def _offsets(wall_seconds: int, place: ZoneInfo) -> tuple[int, int]:
    """
    Two offsets from UTC in seconds for a time on the wall clock: equal on ordinary days, the
    earlier and the later if it is shown twice, those before and after the jump if it is skipped
    (PEP 495).
    """
    wall = EPOCH + timedelta(seconds=wall_seconds)
    return _offset(wall.replace(tzinfo=place)), _offset(wall.replace(tzinfo=place, fold=1))


def _offset(moment: datetime) -> int:
    """A zone-aware time's offset from UTC in seconds."""
    return (moment.utcoffset() or NO_OFFSET) // SECOND


def _jump(wall_seconds: int, before: int, after: int, place: ZoneInfo) -> Instant:
    """The instant at which the clock jumps over a time that it never shows, by bisection."""
    early, late = wall_seconds - after, wall_seconds - before
    while late - early > 1:
        middle = (early + late) // 2
        if middle + _offset(datetime.fromtimestamp(middle, place)) < wall_seconds:
            early = middle
        else:
            late = middle
    return late * 1000
