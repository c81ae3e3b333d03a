"""
Helpers to read and write the JSON of any provider.

Everything that comes in over HTTP may be hostile: wrong types, missing keys, whole numbers with a
thousand digits, lone surrogates. These helpers never raise on it; they answer None, an empty string
or nothing.
"""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from orchestrator.channels.adapter_api import AdapterSettings
from orchestrator.channels.wire import same
from orchestrator.primitives.durations import parse_duration

DETAIL_CHARS_MAX = 300
TEXT_CHARS_MAX = 10_000
ID_CHARS_MAX = 512

MILLISECONDS_FROM = 100_000_000_000
SECONDS_MAX = 32_503_680_000  # the year 3000

CODE_WORD = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
LONG_NUMBER = re.compile(r"\+?\d(?:[ ()-]?\d){6,}")


def _base_url(value: str) -> str:
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "must be an origin with an optional path, such as https://api.example.com, and no query"
        )
    return value.rstrip("/")


def _duration(value: Any) -> int:
    found = parse_duration(value) if isinstance(value, str) else value
    if not found or not isinstance(found, int):
        raise ValueError("must be a whole number and a unit, such as 30s, 10m, 24h or 7d")
    return found


Secret = Annotated[SecretStr, Field(min_length=1)]
Secrets = Secret | Annotated[tuple[Secret, ...], Field(min_length=1)]
"""
One secret, or a list of them while one is being rotated: the first is used to send, all of them to
verify.
"""

BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""An http(s) origin with an optional path, kept without its trailing slash."""


Duration = Annotated[int, BeforeValidator(_duration)]
"""A duration such as ``30s`` or ``90d``, kept in milliseconds."""


def secrets_of(value: Secrets) -> tuple[str, ...]:
    """The plain secrets, the one to send with first."""
    found = value if isinstance(value, tuple) else (value,)
    return tuple(secret.get_secret_value() for secret in found)


def secret_values(settings: AdapterSettings) -> tuple[str, ...]:
    """Every plain secret in an adapter's settings, for ``said``."""
    return settings.secrets


def matches(given: str | None, *expected: str) -> bool:
    """
    Whether ``given`` is one of ``expected``, compared in constant time, whatever bytes it came
    from.
    """
    if given is None:
        return False
    left = given.encode("utf-8", "surrogatepass")
    return any([same(left, candidate.encode("utf-8", "surrogatepass")) for candidate in expected])


def json_bytes(value: Any) -> bytes:
    """
    Compact UTF-8 JSON; what UTF-8 cannot say (a lone surrogate) becomes ``?`` instead of an error.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def whole(value: Any) -> int | None:
    """``value`` if it is a whole number (True is none, 1.0 is none)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_of(value: Any, chars_max: int = TEXT_CHARS_MAX) -> str:
    """
    ``value`` if it is a string, cut to size and storable anywhere: no NUL, no lone surrogates.
    Else empty.
    """
    if not isinstance(value, str):
        return ""
    return value[:chars_max].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def id_of(value: Any) -> str | None:
    """An identifier: a string of 1 to 512 printable ASCII characters, else None."""
    if (
        isinstance(value, str)
        and 0 < len(value) <= ID_CHARS_MAX
        and value.isascii()
        and value.isprintable()
    ):
        return value
    return None


def ids_of(*values: Any) -> tuple[str, ...]:
    """Those of the values that are identifiers."""
    return tuple(found for value in values if (found := id_of(value)) is not None)


def known_as(*addresses: tuple[str, Any]) -> tuple[tuple[str, str], ...]:
    """Kinds and values for ``known_as``; a phone becomes E.164, what is unreadable is left out."""
    read = ((kind, e164(value) if kind == "phone" else id_of(value)) for kind, value in addresses)
    return tuple((kind, value) for kind, value in read if value is not None)


def code_of(value: Any) -> str | None:
    """
    A provider's code that is a word (``UNAUTHORIZED``, ``E400``), None for anything longer or
    stranger.
    """
    return value if isinstance(value, str) and CODE_WORD.fullmatch(value) else None


def said(value: Any, secrets: tuple[str, ...] = ()) -> str:
    """
    The provider's own words, fit to be kept as a detail: providers quote phone numbers and even
    access tokens in their errors, so ``secrets`` and every long number are masked.
    """
    words = text_of(value)
    for secret in secrets:
        words = words.replace(secret, "***")
    return LONG_NUMBER.sub("***", " ".join(words.split()))[:DETAIL_CHARS_MAX]


def member(value: Any, *path: str) -> Any:
    """The value at ``path`` in nested objects, or None."""
    for key in path:
        if value is None or (type(value) is not dict and not isinstance(value, Mapping)):
            return None
        value = value.get(key)
    return value


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The members of a list that are objects; nothing for anything else."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def unix_seconds(value: Any) -> float | None:
    """
    UTC seconds of a Unix time in seconds or milliseconds, as a number or a string of digits; None
    for nonsense.

    Providers that document seconds have been seen to send milliseconds: from 1e11 on it is
    milliseconds.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 < value < SECONDS_MAX * 1000
    ):
        return None
    seconds = value / 1000 if value >= MILLISECONDS_FROM else float(value)
    return seconds if math.isfinite(seconds) and seconds < SECONDS_MAX else None


def iso_seconds(value: Any) -> float | None:
    """UTC seconds of an ISO 8601 time (UTC where it names no offset); None for nonsense."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < SECONDS_MAX else None


def e164(value: Any) -> str | None:
    """
    A phone number as E.164 with its plus sign, from ``+380…`` or ``380…``; None if it is none.
    """
    digits = value.removeprefix("+") if isinstance(value, str) else ""
    if digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15 and digits[0] != "0":
        return f"+{digits}"
    return None
