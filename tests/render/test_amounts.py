"""Money is written as CLDR says, in every locale there is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from babel import Locale, localedata
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.render.amounts import DIGITS_MAX, money_text

LOCALES = sorted(localedata.locale_identifiers())
amounts = st.decimals(-(10**13), 10**13, places=3)


@given(st.sampled_from(LOCALES), st.sampled_from(["UAH", "JPY", "EUR", "KWD", "CHF"]), amounts)
def test_an_amount_is_written_as_the_pattern_of_its_locale_says(
    name: str, currency: str, amount: Decimal
) -> None:
    locale = Locale.parse(name)
    assert money_text(amount, currency, locale) == format_currency(amount, currency, locale=locale)


@pytest.mark.parametrize("name", ["uk", "en_IN", "de_CH", "ar", "bg"])
def test_an_amount_too_long_for_any_purse_is_still_written_whole(name: str) -> None:
    locale, amount = Locale.parse(name), Decimal("1234567.5").scaleb(DIGITS_MAX)
    assert money_text(amount, "UAH", locale) == format_currency(amount, "UAH", locale=locale)
