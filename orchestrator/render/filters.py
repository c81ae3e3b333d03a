"""
The filters of our own: money, dates, plurals, grammar, links, SMS.

They read the locale and zone from the context of the render, so authors never pass them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from jinja2 import Undefined, pass_context
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context

from orchestrator.channels.registry import channels
from orchestrator.primitives.web_urls import encoded
from orchestrator.render.allowed import LETTERS, Price
from orchestrator.render.amounts import money_text
from orchestrator.render.problems import NullValue, UnknownValue
from orchestrator.render.sms import plainer
from orchestrator.render.text import abbreviated, shortenable
from orchestrator.render.ukrainian import romanise
from orchestrator.render.ukrainian import vocative as vocative_of

DATE_STYLES = ("short", "medium", "long", "full")
PATTERN_LENGTH_MAX = 64
NUMBER_LENGTH_MAX = 64
EXPONENT_MAX = 30
CURRENCY = re.compile("[A-Z]{3}")
CATEGORIES = ("zero", "one", "two", "few", "many", "other")


@lru_cache(maxsize=256)
def babel_locale(tag: str | None) -> Locale:
    """
    The locale of a BCP 47 tag, its language alone where the region is unknown, English where
    nothing fits.
    """
    for candidate in filter(None, (tag, (tag or "").replace("_", "-").partition("-")[0], "en")):
        try:
            return Locale.parse(candidate.replace("_", "-"), sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def number_of(value: Any, filter: str) -> Decimal:
    """A number from JSON or text, exactly as it was written; 2.0 is 2, as it is printed."""
    defined(value)
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    try:
        number = Decimal(text if len(text) <= NUMBER_LENGTH_MAX else "")
    except InvalidOperation:
        raise TemplateRuntimeError(f"{filter}: the value is not a number") from None
    if not number.is_finite() or (
        number and not -EXPONENT_MAX <= number.adjusted() <= EXPONENT_MAX
    ):
        raise TemplateRuntimeError(f"{filter}: the value is not a number")
    return Decimal(int(number)) if "." in text and number == int(number) else number


def defined(value: Any) -> None:
    """Fail closed: a filter does not turn what is absent into text."""
    if isinstance(value, Undefined):
        str(value)
    if value is None:
        raise NullValue("a value is null")


@pass_context
def money(context: Context, value: Any, currency: str) -> str:
    """``{{ event.total | money('UAH') }}`` → «3 601,50 ₴» in the recipient's locale."""
    if not CURRENCY.fullmatch(currency):
        raise TemplateRuntimeError("money takes a currency of three letters, such as 'UAH'")
    locale = babel_locale(context.get("_locale"))
    return abbreviated(money_text(number_of(value, "money"), currency, locale))


@pass_context
def number(context: Context, value: Any) -> str:
    """A number with the locale's separators."""
    return str(
        format_decimal(number_of(value, "number"), locale=babel_locale(context.get("_locale")))
    )


@pass_context
def date_filter(context: Context, value: Any, style: str = "medium") -> str:
    """
    An ISO 8601 date or time in the recipient's locale and zone; ``style`` is short … full, or a
    CLDR pattern.
    """
    defined(value)
    locale, zone = babel_locale(context.get("_locale")), zone_of(context.get("_time_zone") or "UTC")
    if len(style) > PATTERN_LENGTH_MAX:
        raise TemplateRuntimeError("a date pattern that long is not allowed")
    text = str(value)
    try:
        if len(text) == 10:
            return abbreviated(format_date(date.fromisoformat(text), style, locale=locale))
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TemplateRuntimeError("date: the value is not an ISO 8601 date or time") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if style in DATE_STYLES:
        return abbreviated(format_date(moment.astimezone(zone), style, locale=locale))
    return abbreviated(format_datetime(moment, style, tzinfo=zone, locale=locale))


@pass_context
def plural(context: Context, value: Any, *forms: str) -> str:
    """
    The form of a word for a number, by the locale's CLDR categories in their order: ``one, few,
    many[, other]`` in Ukrainian, ``one, other`` in English. The number itself is the author's to
    print. The last form serves for the rest.
    """
    if not forms:
        raise TemplateRuntimeError("plural needs the forms of the word")
    locale = babel_locale(context.get("_locale"))
    category = locale.plural_form(number_of(value, "plural"))
    tags = locale.plural_form.tags | {"other"}
    order = [name for name in CATEGORIES if name in tags]
    if len(forms) > len(order):
        raise TemplateRuntimeError(
            f"plural has {len(forms)} forms, and {locale.language} has {len(order)}:"
            f" {', '.join(order)}"
        )
    return forms[min(order.index(category), len(forms) - 1)]


def vocative(value: Any) -> str:
    """«Олена» → «Олено»."""
    defined(value)
    return vocative_of(str(value))


def gender(recipient: Any, female_or_male: str, other: str, neutral: str | None = None) -> str:
    """
    ``{{ recipient | gender('чекав', 'чекала') }}``: the form for him, the form for her, and one if
    the gender is unknown; without the third, such a step is skipped.
    """
    known = recipient.get("gender") if isinstance(recipient, Mapping) else None
    if known == "male":
        return female_or_male
    if known == "female":
        return other
    if neutral is None:
        raise UnknownValue("recipient.gender is not known, and there is no third form")
    return neutral


@pass_context
def link(context: Context, value: Any) -> str:
    """A tracked link; only http and https, percent-encoded where it is not yet."""
    defined(value)
    try:
        url = encoded(str(value))
    except ValueError as error:
        raise TemplateRuntimeError(f"link: {error}") from None
    track: Callable[[str], str] | None = context.get("_link")
    return track(url) if track is not None else url


@pass_context
def link_to(context: Context, value: Any) -> str:
    """``{{ 'telegram' | link_to }}``: a link by which the reader connects that messenger."""
    defined(value)
    known = [name for name, one in channels().items() if one.linkable]
    if value not in known:
        listed = ", ".join(known)
        raise TemplateRuntimeError(f"link_to: there is no messenger {value!r}; there are {listed}")
    make: Callable[[str], str] | None = context.get("_link_to")
    return make(str(value)) if make is not None else f"https://kaskad.example/l/{value}"


def truncate_sms(value: Any, parts: int = 1) -> str:
    """
    May be cut, so that the whole text fits into so many SMS parts; in other channels, this text
    alone.
    """
    defined(value)
    return shortenable(str(value), parts)


def smart_sms(value: Any) -> str:
    """Typographic characters as plain ones."""
    defined(value)
    return plainer(str(value))


def transliterate(value: Any) -> str:
    """Ukrainian in Latin letters: one part has 160 of them instead of 70."""
    defined(value)
    return romanise(plainer(str(value)))


OURS: dict[str, Callable[..., Any]] = {
    "money": money,
    "number": number,
    "date": date_filter,
    "plural": plural,
    "vocative": vocative,
    "gender": gender,
    "link": link,
    "link_to": link_to,
    "truncate_sms": truncate_sms,
    "smart_sms": smart_sms,
    "transliterate": transliterate,
}
PRICES = {
    "money": Price(call=4),
    "number": Price(call=12),
    "date": Price(call=24),
    "plural": Price(call=8),
    "vocative": LETTERS,
    "gender": Price(read=0),
    "link": Price(call=16),
    "link_to": Price(call=16),
    "truncate_sms": Price(read=8),
    "smart_sms": Price(read=8),
    "transliterate": LETTERS,
}


def content_hash(parts: Mapping[str, Any]) -> str:
    """A hash of the sent content, 16 hex characters."""
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:16]
