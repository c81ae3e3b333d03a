"""
The keys of ``governance.yaml``: quiet hours, caps, gaps, consent, budgets and countries.

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

from orchestrator.configuration.keys import Key, Kind, Schema, array, named, obj, read, table
from orchestrator.configuration.kinds import (
    AMOUNT,
    CURRENCY,
    DURATION,
    TEXT_SCHEMA,
    scalar,
    whole,
    word,
    words,
)
from orchestrator.configuration.reading import Report, Section
from orchestrator.configuration.reply_keys import REPLIES
from orchestrator.configuration.scalars import (
    Invalid,
    clip,
    duration_of,
    duration_text,
    loose_duration,
    meant,
    suggestion,
    text_of,
)
from orchestrator.configuration.yaml_file import ConfigError, Node, load
from orchestrator.core.policy import (
    CLASSES,
    MINUTE_MS,
    OTP,
    Budget,
    CalendarKind,
    Cap,
    Gap,
    Governance,
    QuietHours,
    Window,
)
from orchestrator.core.values import replace
from orchestrator.primitives.durations import parse_duration

CONSENTS = ("opt_in", "opt_out", "bypass")
CALENDARS: dict[str, CalendarKind] = {
    "calendar_day": "day",
    "calendar_week": "week",
    "calendar_month": "month",
}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
WINDOW_FIX = 'write it in quotes as "21:00-09:00", or "all"'
DAY_MINUTES = 24 * 60


def window_of(node: Node, called: str) -> Window:
    """``"21:00-09:00"``, or ``"all"`` for a whole day."""
    if node.kind == "str" and node.text == "all":
        return Window(0, DAY_MINUTES)
    match = WINDOW.fullmatch(node.text) if node.kind == "str" else None
    if match is None:
        shown = f"{clip(node.text)!r} " if node.text else ""
        raise Invalid(f"{called} {shown}is not a time of day and another", WINDOW_FIX)
    hours = [int(part) for part in match.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if hours[1] > 59 or hours[3] > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise Invalid(f"{called} {node.text!r} has a time that does not exist", WINDOW_FIX)
    if start == end:
        fix = 'for a whole day write "all"'
        raise Invalid(f"{called} {node.text!r} begins when it ends", fix)
    return Window(start, end)


def read_windows(section: Section, key: str, default: None) -> tuple[Window | None, ...] | None:
    """Windows by weekday: ``{mon-fri: "22:00-08:00", sun: "all"}``; a day may be named once."""
    node = section.get(key)
    if node is None:
        return default
    if node.kind != "map" or not node.value:
        section.error(key, "`windows` names no day", 'write windows: {mon-fri: "22:00-08:00"}')
        return default
    found: list[Window | None] = [None] * 7
    for days, inner in node.value.items():
        numbers = weekdays(days)
        if not numbers:
            fix = "use mon tue wed thu fri sat sun, or a span such as mon-fri"
            what = f"{clip(days)!r} is not a day of the week"
            section.report.error(node.keys[days], what, fix)
            continue
        window = section.parse(inner, f"`windows.{days}`", window_of, None)
        for number in numbers:
            if found[number] is not None:
                what = f"{WEEKDAYS[number]} already has a window"
                section.report.error(node.keys[days], what, "name each day once")
            found[number] = window
    return tuple(found)


def weekdays(text: str) -> list[int]:
    """The numbers (0 is Monday) of ``mon`` or ``fri-mon``; empty if it is neither."""
    first, dash, last = text.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        return []
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [number % 7 for number in range(start, end + 1 if end >= start else end + 8)]


@cache
def zones() -> frozenset[str]:
    """The names of all IANA zones."""
    return frozenset(available_timezones())


@cache
def countries() -> frozenset[str]:
    """The countries that have phone numbers."""
    import phonenumbers

    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def zone_of(node: Node, called: str) -> str:
    """The name of an IANA zone."""
    zone = text_of(node, called)
    if zone in zones():
        return zone
    raise Invalid(f"{called} {clip(node.text)!r} is not a time zone", zone_fix(zone))


def zone_fix(text: str) -> str:
    """The zone that was probably meant, by its whole name or by its city."""
    cities = {zone.rpartition("/")[2]: zone for zone in zones() if not zone.startswith("Etc/")}
    city = meant(text, cities) if text.isalpha() else None
    if city is not None:
        return f"did you mean {cities[city]!r}?"
    places = [zone for zone in zones() if "/" in zone and not zone.startswith("Etc/")]
    return suggestion(text, places, "write an IANA name such as Europe/Kyiv")


def recipient_zone_of(node: Node, called: str) -> str:
    """``recipient`` or the name of a zone."""
    if node.text != "recipient" and meant(node.text, ["recipient"]):
        what = f"{called} {clip(node.text)!r} is not a time zone"
        raise Invalid(what, "did you mean 'recipient'?")
    return node.text if node.text == "recipient" else zone_of(node, called)


def per_of(node: Node, called: str) -> int | str:
    """The window of a cap: milliseconds, or a calendar (day, week, month)."""
    if node.text in CALENDARS:
        return CALENDARS[node.text]
    if node.kind == "str" and parse_duration(node.text) is None:
        loose = loose_duration(node.text)
        fix = "write 7d, or one of " + ", ".join(CALENDARS)
        fix = f"write {duration_text(loose)}" if loose else suggestion(node.text, CALENDARS, fix)
        raise Invalid(f"{called} {clip(node.text)!r} is no window", fix)
    return duration_of(node, called)


COUNTRIES_FIX = "write ISO codes: sms_countries: [UA]"


def country_meant(text: str) -> str | None:
    """The ISO code of a country by its code in another case or of three letters, name or prefix."""
    import phonenumbers
    from babel import Locale
    from babel.core import get_global

    upper = text.upper()
    codes = [upper, {"UK": "GB"}.get(upper, ""), *get_global("territory_aliases").get(upper, ())]
    prefix = text.removeprefix("+")
    if prefix.isdecimal():
        codes += phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(prefix), ())[:1]
    for language in ("en", "uk"):
        names = Locale(language).territories.items()
        codes += [code for code, name in names if name.casefold() == text.casefold()]
    return next((code for code in codes if code in countries()), None)


def read_countries(section: Section, key: str, default: Any) -> tuple[str, ...]:
    """A list of countries."""
    found = section.words(key, "country codes", empty=COUNTRIES_FIX)
    for node in section.items(key, "country codes") if found else ():
        if node.text not in countries():
            near = country_meant(node.text)
            fix = f"did you mean {near!r}?" if near else "write ISO codes such as UA"
            section.report.error(node.position, f"{clip(node.text)!r} is not a country code", fix)
    return found


def read_consent(section: Section, key: str, default: Mapping[str, str]) -> Mapping[str, str]:
    """The answer of a recipient who never gave one, by class."""
    consent = dict(default)
    inner = section.section(key)
    inner.adopt(CLASSES)
    for message_class in CLASSES:
        node = inner.get(message_class)
        called = f"`consent.{message_class}`"
        choice = None if node is None else inner.choice(node, called, CONSENTS)
        if choice == "bypass" and message_class != OTP:
            what = f"{called} cannot be bypass: only one-time codes may go out without asking"
            inner.error(message_class, what, "write opt_in or opt_out")
        elif choice:
            consent[message_class] = choice
    return consent


WINDOW_KIND = scalar("times of day", window_of, TEXT_SCHEMA)
WINDOWS: Kind[Any] = Kind(
    "times of day by weekday",
    read_windows,
    {"type": "object", "additionalProperties": TEXT_SCHEMA},
)
ZONE = scalar("time zone", zone_of, TEXT_SCHEMA)
RECIPIENT_ZONE = scalar("time zone or `recipient`", recipient_zone_of, TEXT_SCHEMA)
PER = scalar(
    "duration or calendar", per_of, {"anyOf": [DURATION.describe(), {"enum": list(CALENDARS)}]}
)
COUNTRY: Schema = {"type": "string", "pattern": "^[A-Z]{2}$"}
COUNTRIES: Kind[Any] = Kind("list of country codes", read_countries, array(COUNTRY))
CONSENT: Kind[Any] = Kind(
    "`opt_in`, `opt_out` or `bypass` by class",
    read_consent,
    obj({message_class: {"enum": list(CONSENTS)} for message_class in CLASSES}),
)
ON_HIT = Key(
    "on_hit", word("defer", "skip_step", "drop"), "What happens to a message that hits it."
)
COVERS = (
    Key(
        "classes",
        words("message classes", CLASSES),
        "The classes that it covers.",
        otherwise="all but `otp` and `conversational`",
    ),
    Key("channels", words("channel names"), "The channels that it covers.", otherwise="all"),
)


def make_quiet_hours(section: Section, values: dict[str, Any]) -> QuietHours | None:
    """One rule, with ``window`` for every day or ``windows`` by weekday."""
    single, several = section.get("window"), section.get("windows")
    window, windows = values.pop("window"), values.pop("windows")
    if single is not None and several is not None:
        what = f"{section.name} has `window` and `windows`"
        section.error("windows", what, "keep one of them")
        return None
    if single is None and several is None:
        section.need("window", 'write window: "21:00-09:00"')
    rule = QuietHours(windows=windows or (window,) * 7, **values)
    if all(rule.windows):
        look_at_quiet_time(rule, section)
    return rule if any(rule.windows) else None


def look_at_quiet_time(rule: QuietHours, section: Section) -> None:
    """Report a rule that never ends, and warn of one for the day, or whose `max_defer` is short."""
    key = "windows" if section.has("windows") else "window"
    fix = 'write the window of a night: window: "21:00-09:00"'
    lengths = [(one.end - one.start) % DAY_MINUTES for one in rule.windows if one is not None]
    if not any(lengths):
        add = section.report.error if rule.on_hit == "defer" else section.report.warn
        add(section.at(key), f"{section.name} is always quiet: nothing is ever sent", fix)
        return
    first = next(one for one in rule.windows if one is not None)
    if first.start <= 11 * 60 and first.end >= 15 * 60 and max(lengths) >= 8 * 60:
        start, end = (f"{time // 60:02d}:{time % 60:02d}" for time in (first.end, first.start))
        what = f"quiet by day, and not at night: {section.name}"
        turned = f'write window: "{start}-{end}" if the night was meant'
        section.report.warn(section.at(key), what, turned)
    longest = max(lengths) * MINUTE_MS
    if rule.on_hit == "defer" and rule.max_defer_ms and rule.max_defer_ms < longest:
        hours = duration_text(longest)
        what = "`max_defer` is shorter than the quiet time, so most steps are skipped instead"
        section.report.warn(section.at("max_defer"), what, f"write max_defer: {hours}, or more")


def make_cap(section: Section, values: dict[str, Any]) -> Cap | None:
    """One frequency cap: a rolling window, or a calendar one in the recipient's zone."""
    per = values.pop("per")
    if per is None or values["limit"] is None:
        return None
    return Cap(window_ms=per, **values) if isinstance(per, int) else Cap(calendar=per, **values)


def make_budget(section: Section, values: dict[str, Any]) -> Budget | None:
    """What a channel may cost a day."""
    amount = values["per_day"]
    if amount is None or values["currency"] is None:
        return None
    if not amount:
        fix = "write per_day: 500.00, or remove the channel's steps"
        section.error("per_day", "`per_day` is 0, so nothing is ever sent", fix)
    return Budget(**values | {"per_day": str(amount)})


QUIET_HOURS = table(
    QuietHours,
    Key("window", WINDOW_KIND, "Quiet from one time of day to another, every day.", field="window"),
    Key("windows", WINDOWS, 'The same by weekday: `{mon-fri: "22:00-08:00"}`.', field="windows"),
    Key("zone", RECIPIENT_ZONE, "Whose time of day it is."),
    Key("fallback_zone", ZONE, "The zone of recipients whose own is unknown."),
    *COVERS,
    ON_HIT,
    Key("max_defer", DURATION, "The longest a message is deferred.", otherwise="no limit"),
    make=make_quiet_hours,
)
CAP = table(
    Cap,
    Key("limit", whole(1, 100_000), "How many messages.", need="write how many: limit: 3"),
    Key(
        "per",
        PER,
        "The window: rolling, or a calendar one in the recipient's zone.",
        need="write the window: per: 7d, or per: calendar_day",
    ),
    *COVERS,
    ON_HIT,
    make=make_cap,
)
GAP = table(
    Gap,
    Key("gap", DURATION, "The time between two messages.", need="write how long: gap: 2h"),
    *COVERS,
    ON_HIT,
)
BUDGET = table(
    Budget,
    Key("per_day", AMOUNT, "An amount a day.", need="write an amount: per_day: 500.00"),
    Key("currency", CURRENCY, "ISO 4217.", need="write its currency: currency: UAH"),
    Key("on_hit", word("hold", "skip_step", "drop"), "What happens to a message that hits it."),
    make=make_budget,
)
GOVERNANCE = table(
    Governance,
    Key("quiet_hours", named(QUIET_HOURS), "Times at which nobody is disturbed."),
    Key("frequency_caps", named(CAP), "How many messages a recipient gets.", field="caps"),
    Key("min_gaps", named(GAP), "The time between two messages to a recipient.", field="gaps"),
    Key("budget", named(BUDGET, "channel"), "What a channel may cost.", field="budgets"),
    Key("consent", CONSENT, "The answer of a recipient who never gave one."),
    Key("replies", REPLIES, "What answers HELP and STOP."),
    Key("time_zone", ZONE, "The zone of the installation's own days."),
    Key(
        "sms_countries",
        COUNTRIES,
        "Where SMS may go; needed with a provider of sms.",
    ),
)


def read_governance(path: Path, report: Report) -> tuple[Governance, Node | None]:
    """
    The governance of a file as far as it can be read, and its tree; problems go to ``report``.
    """
    try:
        root = load(path)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return Governance(), None
    governance = read(GOVERNANCE, Section(root, report, "the governance")) or Governance()
    return replace(governance, version=version_of(governance)), root


def version_of(governance: Governance) -> str:
    """The content hash (12 hex characters)."""
    document = governance_to_document(replace(governance, version=""))
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def governance_to_document(governance: Governance) -> dict[str, Any]:
    """The governance as JSON types, for the store; ``governance_from_document`` reads it back."""
    document: dict[str, Any] = msgspec.to_builtins(governance)
    return document


def governance_from_document(document: dict[str, Any]) -> Governance:
    """The governance that ``governance_to_document`` wrote."""
    return msgspec.convert(document, Governance)
