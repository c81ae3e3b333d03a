"""Phone numbers: what is looked up is what the library would have said."""

from __future__ import annotations

import random

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, ValidationResult

from orchestrator.channels.phones import country_of, normal_phone

ODD = (
    *(
        "",
        "+",
        "+0",
        "380501234567",
        "+38050123456",
        "+380 50 123 45 67",
        "+38 (050) 1234567",
        "+380501234567x5",
    ),
    *(
        "+999123456",
        "+٣٨٠501234567",
        "+1-800-FLOWERS",
        "+3800501234567",
        "+44 (0) 20 7946 0958",
        "+390612345678",
    ),
    "+" + "1" * 40,
)


def by_library(value: str) -> tuple[str | None, str]:
    """The normal form and the country, as the library has them."""
    try:
        parsed = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        return None, ""
    good = (
        phonenumbers.is_possible_number_with_reason(parsed) == ValidationResult.IS_POSSIBLE
        and not parsed.extension
    )
    form = phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if good else None
    return form, phonenumbers.region_code_for_number(parsed) or ""


@pytest.mark.parametrize("code", sorted(COUNTRY_CODE_TO_REGION_CODE))
def test_every_calling_code_gives_what_the_library_gives(code: int) -> None:
    chance = random.Random(code)
    for length in [*range(2, 15)] * 3:
        value = f"+{code}" + "".join(chance.choices("0123456789", k=length))
        assert (normal_phone(value), country_of(value)) == by_library(value), value


def test_real_numbers_of_every_country_keep_their_form_and_country() -> None:
    for country in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number(country)
        assert example is not None
        value = phonenumbers.format_number(example, PhoneNumberFormat.E164)
        assert (normal_phone(value), country_of(value)) == by_library(value), value


@pytest.mark.parametrize("value", ODD)
def test_odd_numbers_are_read_by_the_library(value: str) -> None:
    form, country = by_library(value)
    assert normal_phone(value) == (form if value.startswith("+") else None)
    assert country_of(value) == country
