"""
Amounts of money as a locale writes them.

What CLDR's pattern comes to is read once for each locale and currency; from then on an amount is
put together from its digits, several times as fast as by interpreting the pattern. Where the two do
not agree on every probe (patterns with quotes, with letters in their middle, …), Babel goes on to
write every amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import (
    format_currency,
    get_currency_precision,
    get_currency_symbol,
    get_decimal_symbol,
    get_group_symbol,
)

PROBES = tuple(
    Decimal(text)
    for text in (
        "0",
        "-0.001",
        "0.005",
        "0.015",
        "1",
        "-1",
        "2.5",
        "12",
        "999.995",
        "1000",
        "-1234.5",
        "12345.678",
    )
) + tuple(Decimal(text) for text in ("999999.999", "1234567.89", "-123456789.125", "1E+12"))
DIGITS_MAX = 15


@dataclass(frozen=True, slots=True)
class Shape:
    """
    ``around`` stands before and after an amount, ``around_negative`` around one below zero.
    ``near`` digits are in the group beside the decimal point, ``far`` in each further one; ``unit``
    is what the last place is worth.
    """

    around: tuple[str, str]
    around_negative: tuple[str, str]
    group: str
    near: int
    far: int
    point: str
    unit: Decimal

    def write(self, amount: Decimal) -> str:
        """An amount of at most ``DIGITS_MAX`` digits before its point, rounded half to even."""
        before, after = self.around_negative if amount.is_signed() else self.around
        whole, _, fraction = f"{abs(amount).quantize(self.unit):f}".partition(".")
        if len(whole) > self.near:
            whole = self._grouped(whole)
        return (
            f"{before}{whole}{self.point}{fraction}{after}"
            if fraction
            else f"{before}{whole}{after}"
        )

    def _grouped(self, whole: str) -> str:
        rest, written = whole[: -self.near], whole[-self.near :]
        while rest:
            rest, written = rest[: -self.far], rest[-self.far :] + self.group + written
        return written


def money_text(amount: Decimal, currency: str, locale: Locale) -> str:
    """``3 601,50 ₴``."""
    shape = shape_of(currency, str(locale))
    if shape is None or amount.adjusted() >= DIGITS_MAX:
        return str(format_currency(amount, currency, locale=locale))
    return shape.write(amount)


@lru_cache(maxsize=512)
def shape_of(currency: str, name: str) -> Shape | None:
    """The format of a currency in a locale; None if only Babel knows it."""
    locale = Locale.parse(name)
    pattern = locale.currency_formats["standard"]
    symbol = get_currency_symbol(currency, locale)
    positive, negative = zip(pattern.prefix, pattern.suffix, strict=True)
    shape = Shape(
        around=(positive[0].replace("¤", symbol), positive[1].replace("¤", symbol)),
        around_negative=(negative[0].replace("¤", symbol), negative[1].replace("¤", symbol)),
        group=get_group_symbol(locale),
        near=pattern.grouping[0],
        far=pattern.grouping[1],
        point=get_decimal_symbol(locale),
        unit=Decimal(1).scaleb(-get_currency_precision(currency)),
    )
    agreed = all(
        shape.write(probe) == format_currency(probe, currency, locale=locale) for probe in PROBES
    )
    return shape if agreed else None
