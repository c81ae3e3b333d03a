"""
The shape of a recipient, wherever it comes in: with an event, or by the API.

Every field is checked and brought into its one form; what is wrong is a ``Misshapen`` that names
the field and how to fix it, and never repeats what stood there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from orchestrator.channels.address_kinds import (
    CONTROL,
    ID_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Misshapen,
    identifier,
    text,
)
from orchestrator.channels.registry import address_fields, address_kinds, consent_channels
from orchestrator.channels.unseen import trimmed

LOCALE = re.compile(r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)(?:-[A-Za-z0-9](?:-[A-Za-z0-9]{1,8})+)?")
LOCALE_LENGTH_MAX = 35
EXTENDED_LENGTH_MAX = 200
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_MS = 253_402_300_800_000  # the year 10000

CONSENTS_MAX = 100
KEYS_MAX = 200
CONSENT_KEYS = frozenset({"channel", "topic", "state", "at", "source"})


def recipient_profile(found: Any, subject: Any, field: str) -> dict[str, Any]:
    """
    A checked profile with its ``id`` (from ``subject`` where it has none). Raises ``Misshapen``.
    """
    id = profile_id(found, subject, field)
    profile = checked_profile(found, field)
    profile["id"] = id
    return profile


def profile_id(found: Any, subject: Any, field: str) -> str:
    """The id in a profile, else the subject. Raises ``Misshapen``, also if it is no profile."""
    if not isinstance(found, Mapping):
        raise Misshapen(field, "it must be an object", 'write {"id": "user-42", …}')
    if len(found) > KEYS_MAX:
        raise Misshapen(field, f"it has more than {KEYS_MAX} fields", "send what is needed")
    id = found.get("id")
    return recipient_id(subject if id is None else id, inside(field, "id"))


def recipient_id(value: Any, field: str) -> str:
    """The caller's own id for a person; a whole number is taken as its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise Misshapen(field, "it must be a non-empty string", "name the recipient by your own id")
    if len(value) > ID_LENGTH_MAX or CONTROL.search(value):
        what = f"it is longer than {ID_LENGTH_MAX} characters, or has control characters in it"
        raise Misshapen(field, what, "name the recipient by your own id")
    return value


def checked_profile(found: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The fields of a profile, each checked and normalised; null stays null and removes."""
    profile: dict[str, Any] = {}
    for name, value in found.items():
        if value is None and name in ("consents", "attributes"):
            continue
        check = check_of(name)
        profile[name] = (
            value if value is None or check is None else check(value, inside(field, name))
        )
    return profile


def bare_address(value: Any, field: str, countries: Sequence[str] = ()) -> str:
    """
    An address without its kind, in the form in which profiles have it. Raises ``Misshapen``; where
    the right form can be guessed (``countries``: where it may be from), its fix has it.
    """
    value = trimmed(value) if isinstance(value, str) else value
    for kind in address_kinds().values() if isinstance(value, str) else ():
        if kind.looks_like is None or not kind.looks_like(value):
            continue
        try:
            return value if kind.several else str(kind.read(value, field))
        except Misshapen as problem:
            meant = guessed_form(value, countries)
            if meant is None:
                raise
            raise Misshapen(field, problem.what, f'write "{meant}" if that is meant') from None
    return identifier(value, field)


def guessed_form(value: str, countries: Sequence[str]) -> str | None:
    """The address that was probably meant by a text that looks like one and is none."""
    value = trimmed(value)
    for kind in address_kinds().values():
        if kind.looks_like is not None and kind.guessed is not None and kind.looks_like(value):
            return kind.guessed(value, countries)
    return None


def check_of(name: str) -> Callable[[Any, str], Any] | None:
    """What checks and normalises a field; None for a key that is an attribute."""
    kind = address_fields().get(name)
    return CHECKS.get(name) or (kind.read if kind is not None else None)


def inside(field: str, name: str) -> str:
    """The path of a member of ``field``, which is empty for the whole body."""
    return f"{field}.{name}" if field else name


def gender(value: Any, field: str) -> str:
    if value not in ("female", "male"):
        raise Misshapen(field, "it must be female or male", "leave it out where it is not known")
    return str(value)


def locale(value: Any, field: str) -> str:
    """
    A BCP 47 tag without its extensions (``-u-…``, ``-x-…``), which say nothing about words. The
    underscore that many systems write instead of the hyphen is understood, and so is POSIX's
    ``uk_UA.UTF-8``.
    """
    short = isinstance(value, str) and len(value) <= EXTENDED_LENGTH_MAX
    written = trimmed(value).partition(".")[0].partition("@")[0] if short else ""
    found = LOCALE.fullmatch(written.replace("_", "-"))
    if found is None or len(found[1]) > LOCALE_LENGTH_MAX:
        raise Misshapen(field, "it is not a BCP 47 language tag", 'write it like "uk-UA"')
    return found[1]


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def time_zone(value: Any, field: str) -> str:
    if not isinstance(value, str) or value not in zones():
        raise Misshapen(field, "there is no such IANA time zone", 'write it like "Europe/Kyiv"')
    return value


def consents(value: Any, field: str) -> list[dict[str, Any]]:
    """
    Entries of a consent history; an omitted channel or topic is ``*``, ``at`` becomes UTC
    milliseconds.
    """
    fix = 'write [{"channel": "sms", "topic": "cart_reminders", "state": "in"}]'
    if not isinstance(value, list) or len(value) > CONSENTS_MAX:
        raise Misshapen(field, f"it must be a list of at most {CONSENTS_MAX} entries", fix)
    return [consent(one, f"{field}[{index}]") for index, one in enumerate(value)]


def consent(one: Any, place: str) -> dict[str, Any]:
    """
    One entry. Unknown keys are refused: a misspelt ``channel`` would apply a consent to all
    channels.
    """
    if not isinstance(one, Mapping) or one.get("state") not in ("in", "out"):
        raise Misshapen(
            f"{place}.state", "it must be in or out", 'write "state": "in" or "state": "out"'
        )
    refuse_unknown(one, CONSENT_KEYS, place)
    entry: dict[str, Any] = scope_of(one, place)
    entry["state"] = one["state"]
    entry["source"] = text("" if one.get("source") is None else one["source"], f"{place}.source")
    if one.get("at") is not None:
        entry["at"] = instant(one["at"], f"{place}.at")
    return entry


def scope_of(one: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The channel and topic that an entry is about."""
    channel = "*" if one.get("channel") is None else one["channel"]
    topic = "*" if one.get("topic") is None else one["topic"]
    known = consent_channels()
    if not isinstance(channel, str) or channel not in known:
        raise Misshapen(f"{place}.channel", "there is no such channel", f"use {', '.join(known)}")
    if not isinstance(topic, str) or not 0 < len(topic) <= TEXT_LENGTH_MAX:
        raise Misshapen(
            f"{place}.topic",
            "it must be a non-empty string",
            "name a topic, or leave it out for all",
        )
    return {"channel": channel, "topic": topic}


def refuse_unknown(one: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    """Raise ``Misshapen`` for an unknown key."""
    for name in one:
        if name not in known:
            raise Misshapen(
                inside(place, name[:40]),
                "there is no such key",
                f"the keys are {', '.join(sorted(known))}",
            )


def instant(value: Any, field: str) -> int:
    """UTC milliseconds of an RFC 3339 time."""
    at = rfc3339_ms(value)
    if at is None:
        raise Misshapen(
            field, "it is not an RFC 3339 time (from 1970 to 9999)", 'write "2026-11-21T10:00:00Z"'
        )
    return at


def rfc3339_ms(value: Any) -> int | None:
    """
    UTC milliseconds of an RFC 3339 time from 1970 to 9999 (a leap second counts as the second after
    it), None for anything else: what lies outside is a mistake, and not every program could write
    it down again.
    """
    stamp = value.upper() if isinstance(value, str) and len(value) <= 64 else ""
    if not TIME.fullmatch(stamp):
        return None
    leap = stamp[17:19] == "60"
    if leap:
        stamp = f"{stamp[:17]}59{stamp[19:]}"
    try:
        since = datetime.fromisoformat(stamp) - EPOCH
    except (ValueError, OverflowError):
        return None
    at = since // timedelta(milliseconds=1) + 1000 * leap
    return at if 0 <= at < END_MS else None


def attributes(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > KEYS_MAX:
        raise Misshapen(field, f"it must be an object of at most {KEYS_MAX} keys", "write {…}")
    return dict(value)


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "first_name": text,
    "last_name": text,
    "gender": gender,
    "locale": locale,
    "time_zone": time_zone,
    "consents": consents,
    "attributes": attributes,
}
