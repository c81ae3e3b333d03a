"""
Frequency caps and minimum gaps: when is there room for one more?

A rule without ``channels`` counts messages: once each, with its first send; its later steps are
neither counted nor held again, because the person was promised few messages, not few tries. A rule
with ``channels`` counts steps on those channels, each once however often it is retried or resent,
because it is the channel that is being spared.

Both are exact. A rolling window is open at its far end: a usage exactly one window ago no longer
counts. Other processes' clocks may be a little ahead of ours, so a usage in the future counts like
any other.

Instants are UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from orchestrator.core.policy import DAY_MS, HOUR_MS, CalendarKind, Cap, Gap, Governance, covers
from orchestrator.core.quiet_hours import calendar_bounds
from orchestrator.core.recipient import CapUsage, Instant
from orchestrator.core.values import Value

KEPT_MIN_MS = 48 * HOUR_MS
CALENDAR_MS = {"day": 2 * DAY_MS, "week": 8 * DAY_MS, "month": 32 * DAY_MS}
"""No shorter than the longest day, week and month there is, clock changes included."""


class CapResult(Value):
    """``used`` of ``limit`` in the current window; ``room_at`` is None if there is room now."""

    used: int
    limit: int
    room_at: Instant | None


def cap_room_at(
    cap: Cap,
    cap_usages: Sequence[CapUsage],
    message: str,
    channel: str,
    step: int,
    now: Instant,
    zone: str,
) -> CapResult:
    """
    Ask a cap if this step may start, and if not, from when it may.

    ``cap_usages`` are the recipient's, in any order, at most one for a message and step. ``zone``
    is for calendar windows. A step that is counted already (without ``channels``: any step of such
    a message) goes through; ``used`` then counts the others. So does a step on a channel that the
    cap does not name.

    ``room_at`` is the first instant with room if nothing else is sent meanwhile. It is no
    reservation: the cap is asked again then. A limit of zero never has room, and is asked again
    when its window is over.
    """
    counted, exempt = _counted(cap, cap_usages, message, channel, step)
    if cap.window_ms is not None:
        return _rolling(cap.limit, cap.window_ms, counted, exempt, now)
    if not counted and cap.limit > 0:
        return CapResult(0, cap.limit, None)
    return _calendar(cap, counted, exempt, now, zone)


def gap_room_at(
    gap: Gap, cap_usages: Sequence[CapUsage], message: str, channel: str, step: int, now: Instant
) -> Instant | None:
    """
    When the gap to the latest of the other messages (with ``channels``: steps) is over; None if it
    is over now.

    A gap says "at least", so a message exactly one gap later goes through. Exemptions are a cap's.
    """
    counted, exempt = _counted(gap, cap_usages, message, channel, step)
    if exempt or not counted:
        return None
    room_at = max(counted) + gap.gap_ms
    return room_at if room_at > now else None


def horizon_ms(governance: Governance, message_class: str) -> int:
    """
    How long a usage of this class must be stored: the longest window or gap that counts it, and at
    least 48 h.

    The two days are for rules that do not exist yet: a rule added today counts yesterday's sends.
    """
    windows = [
        cap.window_ms or CALENDAR_MS[str(cap.calendar)]
        for cap in governance.caps
        if covers(cap.classes, message_class)
    ]
    gaps = [gap.gap_ms for gap in governance.gaps if covers(gap.classes, message_class)]
    return max([KEPT_MIN_MS, *windows, *gaps])


def _counted(
    rule: Cap | Gap, cap_usages: Sequence[CapUsage], message: str, channel: str, step: int
) -> tuple[list[Instant], bool]:
    """
    The times of the usages that ``rule`` counts, without this message's (or step's) own; and
    whether its own exempts it.
    """
    classes, channels = rule.classes, rule.channels
    counted, exempt = [], bool(channels) and channel not in channels
    for usage in cap_usages:
        if usage.message == message and (not channels or usage.step == step):
            exempt = True
        elif (usage.channel in channels if channels else usage.first) and covers(
            classes, usage.message_class
        ):
            counted.append(usage.at)
    return counted, exempt


def _rolling(
    limit: int, window_ms: int, counted: list[Instant], exempt: bool, now: Instant
) -> CapResult:
    """Room comes when the limit-th youngest usage leaves the window."""
    live = sorted(at for at in counted if at > now - window_ms)
    if exempt or len(live) < limit:
        return CapResult(len(live), limit, None)
    return CapResult(len(live), limit, live[-limit] + window_ms if limit > 0 else now + window_ms)


def _calendar(cap: Cap, counted: list[Instant], exempt: bool, now: Instant, zone: str) -> CapResult:
    """
    Room comes when a new day, week or month begins.

    Usually that is the next one; with other clocks ahead of ours around midnight, the next may be
    full already.
    """
    kind = cast(CalendarKind, cap.calendar)
    start, end = calendar_bounds(kind, now, zone)
    used = _within(counted, start, end)
    if exempt or used < cap.limit:
        return CapResult(used, cap.limit, None)
    room_at = end
    while cap.limit > 0:
        start, end = calendar_bounds(kind, room_at, zone)
        if _within(counted, start, end) < cap.limit:
            break
        room_at = end
    return CapResult(used, cap.limit, room_at)


def _within(counted: list[Instant], start: Instant, end: Instant) -> int:
    return sum(start <= at < end for at in counted)
