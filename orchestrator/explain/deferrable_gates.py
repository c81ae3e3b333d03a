"""The gates that know "not yet": sessions, quiet hours, caps, gaps and budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core import caps, quiet_hours
from orchestrator.core.inputs import Inputs
from orchestrator.core.policy import Cap, Gap, QuietHours, Window
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import CapUsage, Instant
from orchestrator.explain.asked import Account, Asked, plain
from orchestrator.explain.words import Place
from orchestrator.primitives.durations import duration

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def hour(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def window_words(rule: QuietHours) -> str:
    """``21:00-09:00``, or the windows of the days where they differ."""
    found = set(rule.windows)
    if len(found) == 1:
        return span(rule.windows[0])
    return ", ".join(
        f"{day[:3]} {span(window)}" for day, window in zip(WEEKDAYS, rule.windows, strict=True)
    )


def span(window: Window | None) -> str:
    if window is None:
        return "none"
    return (
        "all day"
        if (window.start, window.end) == (0, 1440)
        else f"{hour(window.start)}-{hour(window.end)}"
    )


def opened(asked: Asked) -> Account:
    """Until when the person's session is open, or that there is none."""
    given, now = asked.check.get("value"), asked.place.words(asked.at)
    if given is None or not given.isdigit():
        return Account("no session", now, "the person has not written lately")
    ends = int(given)
    verb = "is open until" if ends > asked.at else "ended at"
    return Account(asked.place.words(ends), now, f"the session {verb} {asked.place.words(ends)}")


def quiet(asked: Asked) -> Account:
    place, rule = Place(asked.check.get("value") or "UTC", "rule"), asked.rule("quiet_hours")
    account = Account(place.clock(asked.at), window_words(rule) if rule is not None else None)
    account.words = (
        f"it was {account.value}, quiet {account.limit}"
        if account.limit
        else f"it was {account.value}"
    )
    until = asked.until
    if asked.passed or until is None:
        return account
    whose = whose_zone(rule, asked)
    ends = f"{place.clock(until)} ({whose}): {asked.leaves(until)}"
    on_hit, bound_ms = (rule.on_hit, rule.max_defer_ms) if rule is not None else ("defer", None)
    if asked.check["verdict"] == "hold":
        account.otherwise = (
            f"Outside the window it would have left at once. The first it may is {ends}."
        )
    elif on_hit == "defer" and bound_ms is not None:
        wait_ms = until - asked.at
        account.otherwise = (
            f"The window ends at {ends}. `max_defer` is {duration(bound_ms)}: with"
            f" {duration(wait_ms)} or more it would have waited instead."
        )
    else:
        account.otherwise = (
            f"The window ends at {ends}. With `on_hit: defer` it would have waited until then."
        )
    return account


def whose_zone(rule: QuietHours | None, asked: Asked) -> str:
    if rule is not None and rule.zone != "recipient":
        return "the rule's own zone"
    known = asked.inputs is not None and quiet_hours.zone_or(asked.inputs.zone, "") != ""
    return (
        "recipient's zone" if known or rule is None else "the fallback zone: the recipient has none"
    )


def capped(asked: Asked) -> Account:
    account = plain(asked)
    if asked.check.get("reason") == Reason.VELOCITY_LIMIT:
        return Account(account.value, None, f"too many codes to {account.value or 'the number'}")
    cap: Cap | None = asked.rule("caps")
    span_words = f" in {cap_span(cap)}" if cap is not None else ""
    account.words = f"{account.value} of {account.limit} used{span_words}"
    if asked.passed or asked.until is None:
        return account
    if cap is not None and asked.inputs is not None:
        account.cap_usages = list(cap_charges(asked, cap, asked.inputs))
    room = f"There is room again at {asked.leaves(asked.until)}"
    if cap is not None and cap.limit == 0:
        room = "A limit of 0 never has room"
    elif account.cap_usages and cap is not None and cap.window_ms is not None:
        first = next(
            (c for c in account.cap_usages if c["leaves_at"] == asked.until), account.cap_usages[0]
        )
        room += f", when {first['words']} leaves the window"
    on_hit = (
        ""
        if asked.check["verdict"] == "hold"
        else " With `on_hit: defer` it would have waited until then."
    )
    more = f" A `limit` of {int(account.value or 0) + 1} would have let it pass now."
    account.otherwise = f"{room}.{on_hit}{more}"
    return account


def cap_span(cap: Cap) -> str:
    return f"a calendar {cap.calendar}" if cap.window_ms is None else duration(cap.window_ms)


def cap_charges(asked: Asked, cap: Cap, inputs: Inputs) -> Iterator[dict[str, Any]]:
    """The charges that fill a cap now, the oldest first; each is asked of the core alone."""
    zone = quiet_hours.zone_or(inputs.zone, inputs.governance.time_zone)
    step = asked.check["step"]
    for usage in sorted(inputs.cap_usages, key=lambda one: one.at):
        alone = caps.cap_room_at(
            cap, [usage], asked.message.id, asked.channel, step, asked.at, zone
        )
        if not alone.used:
            continue
        leaves_at = (
            usage.at + cap.window_ms
            if cap.window_ms is not None
            else quiet_hours.calendar_bounds(cap.calendar or "day", usage.at, zone)[1]
        )
        yield charge_view(usage, leaves_at, asked.place)


def charge_view(usage: CapUsage, leaves_at: Instant, place: Place) -> dict[str, Any]:
    return {
        "message": usage.message,
        "step": usage.step,
        "channel": usage.channel,
        "class": usage.message_class,
        "at": usage.at,
        "leaves_at": leaves_at,
        "words": f"the {usage.channel} of {place.words(usage.at)} (message {usage.message})",
    }


def gapped(asked: Asked) -> Account:
    gap: Gap | None = asked.rule("gaps")
    account = plain(asked)
    if gap is not None:
        account.limit = duration(gap.gap_ms)
    if asked.passed or asked.until is None:
        account.value = None
        account.words = f"at least {account.limit} apart"
        return account
    if gap is None or asked.inputs is None:
        return account
    last = asked.until - gap.gap_ms
    account.value = duration(max(0, asked.at - last))
    account.words = f"the last was {account.value} ago, at least {account.limit} apart"
    held = [c for c in asked.inputs.cap_usages if gap_holds(asked, gap, c)]
    account.cap_usages = [
        charge_view(c, c.at + gap.gap_ms, asked.place) for c in sorted(held, key=lambda one: one.at)
    ]
    account.otherwise = f"The gap is over at {asked.leaves(asked.until)}."
    if account.cap_usages:
        last_words = account.cap_usages[-1]["words"]
        account.otherwise = f"The gap after {last_words} is over at {asked.leaves(asked.until)}."
    return account


def gap_holds(asked: Asked, gap: Gap, usage: CapUsage) -> bool:
    step = asked.check["step"]
    return (
        caps.gap_room_at(gap, [usage], asked.message.id, asked.channel, step, asked.at) is not None
    )


def budgeted(asked: Asked) -> Account:
    account = plain(asked)
    account.words = (
        f"the day's {account.limit} for {asked.channel} is {'not ' if asked.passed else ''}spent"
    )
    if asked.until is not None:
        account.otherwise = (
            f"A higher `per_day` than {account.limit}, or the next day, at"
            f" {asked.leaves(asked.until)}, opens it."
        )
    return account
