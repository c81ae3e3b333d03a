"""The shape of a recipient, wherever it comes in: with an event, or by the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email

LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
ID_LENGTH_MAX = 256
TEXT_LENGTH_MAX = 512
SUBSCRIPTIONS_MAX = 20
CONSENTS_MAX = 100
KEYS_MAX = 200
CHANNELS_KNOWN = ("*", "web_push", "viber", "whatsapp", "email", "sms", "in_app", "mobile_push")


class Misshapen(ValueError):
    """``field`` is wrong: what, and how to mend it."""

    def __init__(self, field: str, what: str, mend: str) -> None:
        super().__init__(f"{field}: {what}; {mend}")
        self.field = field
        self.what = what
        self.mend = mend


def recipient_profile(found: Any, subject: Any, field: str) -> dict[str, Any]:
    """A checked profile with its ``id`` (from ``subject`` where it has none). Raises ``Misshapen``."""
    if not isinstance(found, Mapping):
        raise Misshapen(field, "it must be an object", 'write {"id": "user-42", …}')
    if len(found) > KEYS_MAX:
        raise Misshapen(field, f"it has more than {KEYS_MAX} fields", "send what is needed")
    id = found.get("id", subject)
    if isinstance(id, int) and not isinstance(id, bool):
        id = str(id)
    if not isinstance(id, str) or not id.strip() or len(id) > ID_LENGTH_MAX:
        raise Misshapen(f"{field}.id", "it must be a non-empty string", "name the recipient by your own id")
    profile = checked_profile(found, field)
    profile["id"] = id
    return profile


def checked_profile(found: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The fields of a profile, each checked and normalised; null stays null and removes."""
    profile: dict[str, Any] = {}
    for name, value in found.items():
        check = CHECKS.get(name)
        profile[name] = value if value is None or check is None else check(value, f"{field}.{name}")
    return profile


def text(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
        raise Misshapen(field, f"it must be a string of at most {TEXT_LENGTH_MAX} characters", "send text, or null")
    return value


def phone(value: Any, field: str) -> str:
    """E.164."""
    number = normal_phone(value) if isinstance(value, str) else None
    if number is None:
        raise Misshapen(field, "it is not a phone number in E.164", 'write it like "+380501234567"')
    return number


@lru_cache(maxsize=65_536)
def normal_phone(value: str) -> str | None:
    if not value.startswith("+"):
        return None
    try:
        parsed = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def email(value: Any, field: str) -> str:
    address = normal_email(value) if isinstance(value, str) else None
    if address is None:
        raise Misshapen(field, "it is not a mail address", 'write it like "olena@example.com"')
    return address


@lru_cache(maxsize=65_536)
def normal_email(value: str) -> str | None:
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None


def gender(value: Any, field: str) -> str:
    if value not in ("female", "male"):
        raise Misshapen(field, "it must be female or male", "leave it out where it is not known")
    return str(value)


def locale(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > 35 or not LOCALE.fullmatch(value):
        raise Misshapen(field, "it is not a BCP 47 language tag", 'write it like "uk-UA"')
    return value


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def time_zone(value: Any, field: str) -> str:
    if value not in zones():
        raise Misshapen(field, "there is no such IANA time zone", 'write it like "Europe/Kyiv"')
    return str(value)


def web_push(value: Any, field: str) -> list[dict[str, Any]]:
    """Subscriptions as browsers hand them over."""
    mend = 'send PushSubscription.toJSON(): [{"endpoint": "https://…", "keys": {"p256dh": "…", "auth": "…"}}]'
    if not isinstance(value, list) or len(value) > SUBSCRIPTIONS_MAX:
        raise Misshapen(field, f"it must be a list of at most {SUBSCRIPTIONS_MAX} subscriptions", mend)
    found: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(value):
        keys = one.get("keys") if isinstance(one, Mapping) else None
        endpoint = one.get("endpoint") if isinstance(one, Mapping) else None
        good_keys = isinstance(keys, Mapping) and all(isinstance(keys.get(name), str) for name in ("p256dh", "auth"))
        if not isinstance(endpoint, str) or urlsplit(endpoint).scheme not in ("https", "http") or not good_keys:
            raise Misshapen(f"{field}[{index}]", "it is not a subscription", mend)
        kept: dict[str, Any] = {"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}  # type: ignore[index]
        if isinstance(one.get("vapid_key_id"), str):
            kept["vapid_key_id"] = one["vapid_key_id"]
        found[endpoint] = kept
    return list(found.values())


def consents(value: Any, field: str) -> list[dict[str, Any]]:
    """Entries of a consent history; ``at`` becomes UTC milliseconds."""
    mend = 'write [{"channel": "sms", "topic": "cart_reminders", "state": "in"}]'
    if not isinstance(value, list) or len(value) > CONSENTS_MAX:
        raise Misshapen(field, f"it must be a list of at most {CONSENTS_MAX} entries", mend)
    found = []
    for index, one in enumerate(value):
        place = f"{field}[{index}]"
        if not isinstance(one, Mapping) or one.get("state") not in ("in", "out"):
            raise Misshapen(f"{place}.state", "it must be in or out", mend)
        channel = one.get("channel") or "*"
        if channel not in CHANNELS_KNOWN:
            raise Misshapen(f"{place}.channel", "there is no such channel", f"use {', '.join(CHANNELS_KNOWN)}")
        entry = {"channel": channel, "topic": text(one.get("topic") or "*", f"{place}.topic"), "state": one["state"]}
        entry["source"] = text(one.get("source") or "", f"{place}.source")
        if one.get("at") is not None:
            entry["at"] = instant(one["at"], f"{place}.at")
        found.append(entry)
    return found


def instant(value: Any, field: str) -> int:
    """UTC milliseconds of an RFC 3339 time."""
    try:
        moment = datetime.fromisoformat(str(value).upper().replace("Z", "+00:00"))
    except ValueError:
        raise Misshapen(field, "it is not an RFC 3339 time", 'write "2026-11-21T10:00:00Z"') from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def attributes(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Misshapen(field, "it must be an object", "write {…}")
    return dict(value)


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "first_name": text,
    "last_name": text,
    "gender": gender,
    "locale": locale,
    "time_zone": time_zone,
    "email": email,
    "phone": phone,
    "viber_bot_id": text,
    "whatsapp_id": text,
    "web_push": web_push,
    "consents": consents,
    "attributes": attributes,
}
