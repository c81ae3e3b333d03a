"""
Governance from YAML: quiet hours, caps, gaps, consent, budgets and countries, checked and given a
version.

Reference for the names: zones are IANA's, countries ISO 3166-1 alpha-2, currencies ISO 4217.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import msgspec

from orchestrator.configuration.reading import Report, Section, clip, parse_duration, suggestion
from orchestrator.configuration.yaml_file import ConfigError, Node, load
from orchestrator.core.policy import CLASSES, OTP, Budget, Cap, Gap, Governance, QuietHours, Window
from orchestrator.core.values import replace

CONSENTS = ("opt_in", "opt_out", "bypass")
ON_HIT = ("defer", "skip_step", "drop")
BUDGET_ON_HIT = ("hold", "skip_step", "drop")
CALENDARS = {"calendar_day": "day", "calendar_week": "week", "calendar_month": "month"}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
CURRENCY = re.compile(r"[A-Z]{3}")
DAY_MINUTES = 24 * 60
ALL_DAY = Window(0, DAY_MINUTES)


def load_governance(path: Path) -> Governance:
    """The governance of a file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    governance, _ = read_governance(path, report)
    report.refuse()
    return governance


def read_governance(path: Path, report: Report) -> tuple[Governance, Node | None]:
    """
    The governance of a file as far as it can be read, and its tree; problems go to ``report``.
    """
    try:
        root = load(path)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return Governance(), None
    section = Section(root, report, "the governance")
    governance = Governance(
        quiet_hours=section.each("quiet_hours", read_quiet_hours),
        caps=section.each("frequency_caps", read_cap),
        gaps=section.each("min_gaps", read_gap),
        budgets=section.each("budget", read_budget),
        consent=read_consent(section),
        time_zone=read_zone(section, "time_zone") or "UTC",
        sms_countries=read_countries(section),
    )
    section.done()
    return replace(governance, version=version_of(governance)), root


def version_of(governance: Governance) -> str:
    """The content hash (12 hex characters)."""
    document = governance_to_document(replace(governance, version=""))
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def scope(section: Section) -> dict[str, tuple[str, ...]]:
    """The classes and channels that a rule covers."""
    return {
        "classes": section.words("classes", "message classes", CLASSES),
        "channels": section.words("channels", "channel names"),
    }


def read_quiet_hours(name: str, section: Section) -> QuietHours | None:
    """One quiet-hours rule, with ``window`` for every day or ``windows`` by weekday."""
    single, several = section.get("window"), section.get("windows")
    windows: tuple[Window | None, ...] | None = None
    if single is not None and several is not None:
        section.report.error(
            several.position, f"{section.name} has `window` and `windows`", "keep one of them"
        )
    elif several is not None:
        windows = read_windows(section, several)
    elif section.need("window", 'write window: "21:00-09:00"') is not None:
        windows = (read_window(section, section.nodes["window"], "`window`"),) * 7
    zone = section.text("zone", "recipient")
    if zone != "recipient":
        zone = read_zone(section, "zone") or "recipient"
    rule = QuietHours(
        name=name,
        windows=windows or (None,) * 7,
        zone=zone,
        fallback_zone=read_zone(section, "fallback_zone"),
        on_hit=section.word("on_hit", ON_HIT, "defer"),
        max_defer_ms=section.duration("max_defer"),
        **scope(section),
    )
    section.done()
    return rule if any(rule.windows) else None


def read_window(section: Section, node: Node, called: str) -> Window | None:
    """``"21:00-09:00"``, or ``"all"`` for a whole day."""
    fix = 'write it in quotes as "21:00-09:00", or "all"'
    match = WINDOW.fullmatch(node.text) if node.kind == "str" else None
    if node.kind == "str" and node.text == "all":
        return ALL_DAY
    if match is None:
        shown = f"{clip(node.text)!r} " if node.text else ""
        section.report.error(
            node.position, f"{called} {shown}is not a time of day and another", fix
        )
        return None
    hours = [int(part) for part in match.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if hours[1] > 59 or hours[3] > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:
        section.report.error(
            node.position, f"{called} {node.text!r} has a time that does not exist", fix
        )
        return None
    if start == end:
        section.report.error(
            node.position,
            f"{called} {node.text!r} begins when it ends",
            'for a whole day write "all"',
        )
        return None
    return Window(start, end)


def read_windows(section: Section, node: Node) -> tuple[Window | None, ...] | None:
    """Windows by weekday: ``{mon-fri: "22:00-08:00", sun: "all"}``; a day may be named once."""
    if node.kind != "map" or not node.value:
        section.report.error(
            node.position, "`windows` names no day", 'write windows: {mon-fri: "22:00-08:00"}'
        )
        return None
    found: list[Window | None] = [None] * 7
    for days, inner in node.value.items():
        numbers = weekdays(days)
        if not numbers:
            fix = "use mon tue wed thu fri sat sun, or a span such as mon-fri"
            section.report.error(node.keys[days], f"{clip(days)!r} is not a day of the week", fix)
            continue
        window = read_window(section, inner, f"`windows.{days}`")
        for number in numbers:
            if found[number] is not None:
                what = f"{WEEKDAYS[number]} already has a window"
                section.report.error(node.keys[days], what, "name each day once")
            found[number] = window
    return tuple(found)


def weekdays(text: str) -> list[int]:
    """The numbers (0 is Monday) of ``mon`` or ``fri-mon``; empty where it is no such thing."""
    first, dash, last = text.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        return []
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [number % 7 for number in range(start, end + 1 if end >= start else end + 8)]


def read_cap(name: str, section: Section) -> Cap | None:
    """One frequency cap: a rolling window, or a calendar one in the recipient's zone."""
    section.need("limit", "write how many: limit: 3")
    limit = section.integer("limit", None, 1, 100_000)
    per = section.need("per", "write the window: per: 7d, or per: calendar_day")
    window_ms, calendar = None, None
    if per is not None and per.text in CALENDARS:
        calendar = CALENDARS[per.text]
    elif per is not None and per.kind == "str" and parse_duration(per.text) is None:
        fix = suggestion(per.text, CALENDARS, "write 7d, or one of " + ", ".join(CALENDARS))
        section.report.error(per.position, f"`per` {clip(per.text)!r} is no window", fix)
    elif per is not None:
        window_ms = section.duration("per")
    on_hit = section.word("on_hit", ON_HIT, "defer")
    cap = Cap(name, limit or 1, window_ms, calendar, on_hit=on_hit, **scope(section))
    section.done()
    return cap if limit and (window_ms or calendar) else None


def read_gap(name: str, section: Section) -> Gap | None:
    """One minimum gap."""
    section.need("gap", "write how long: gap: 2h")
    gap = Gap(
        name=name,
        gap_ms=section.duration("gap", 0),
        on_hit=section.word("on_hit", ON_HIT, "defer"),
        **scope(section),
    )
    section.done()
    return gap if gap.gap_ms else None


def read_budget(channel: str, section: Section) -> Budget | None:
    """What a channel may cost a day."""
    section.need("per_day", "write an amount: per_day: 500.00")
    amount = section.amount("per_day")
    section.need("currency", "write its currency: currency: UAH")
    currency = read_currency(section)
    on_hit = section.word("on_hit", BUDGET_ON_HIT, "hold")
    section.done()
    return (
        Budget(channel, str(amount), currency, on_hit) if amount is not None and currency else None
    )


def read_currency(section: Section) -> str | None:
    """A currency code."""
    currency = section.text("currency")
    if currency is not None and not CURRENCY.fullmatch(currency):
        fix = "write three capital letters, such as UAH"
        section.report.error(
            section.at("currency"),
            f"`currency` {section.shown('currency')!r} is not a currency code",
            fix,
        )
        return None
    return currency


def read_consent(section: Section) -> Mapping[str, str]:
    """What no entry means, by class; ``bypass`` belongs to one-time codes alone."""
    consent = dict(Governance().consent)
    inner = section.section("consent")
    for message_class in CLASSES:
        node = inner.get(message_class)
        if node is None:
            continue
        choice = inner.choice(node, f"`consent.{message_class}`", CONSENTS)
        if choice == "bypass" and message_class != OTP:
            what = f"`consent.{message_class}` cannot be bypass: only one-time codes may go out without asking"
            section.report.error(node.position, what, "write opt_in or opt_out")
        elif choice:
            consent[message_class] = choice
    inner.done()
    return consent


@cache
def zones() -> frozenset[str]:
    """The names of all IANA zones."""
    return frozenset(available_timezones())


def read_zone(section: Section, key: str) -> str | None:
    """The name of an IANA zone."""
    zone = section.text(key)
    if zone is None or zone in zones():
        return zone
    fix = suggestion(zone, zones(), "write an IANA name such as Europe/Kyiv")
    section.report.error(section.at(key), f"`{key}` {section.shown(key)!r} is not a time zone", fix)
    return None


@cache
def countries() -> frozenset[str]:
    """The countries that have phone numbers."""
    import phonenumbers

    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def read_countries(section: Section) -> tuple[str, ...]:
    """Where SMS may go."""
    found = section.words("sms_countries", "country codes")
    for node in section.items("sms_countries", "country codes") if found else ():
        if node.text not in countries():
            fix = suggestion(node.text, countries(), "write ISO codes such as UA")
            section.report.error(node.position, f"{clip(node.text)!r} is not a country code", fix)
    return found


def governance_to_document(governance: Governance) -> dict[str, Any]:
    """The governance as JSON types, for the store; ``governance_from_document`` reads it back."""
    document: dict[str, Any] = msgspec.to_builtins(governance)
    return document


def governance_from_document(document: dict[str, Any]) -> Governance:
    """The governance that ``governance_to_document`` wrote."""
    return msgspec.convert(document, Governance)
