"""
Phone numbers in E.164: their one form, and the country that they are of.

A plain number is a plus sign and digits, with nothing before the national number that its plan
would take out. All that is asked of one follows from its calling code, whose plan is read from the
library once; every other number goes through the library itself, at twenty times the cost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, ValidationResult

from orchestrator.channels.unseen import only_seen

PLAIN = re.compile(r"\+[1-9][0-9]{4,16}", re.ASCII)
CALLING_CODE_DIGITS_MAX = 3
KEPT_MAX = 65_536
PLUS_SIGNS = ("+", "＋")
LOOK = re.compile(r"[+＋]?[\d()./–-]+")
LOOK_DIGITS_MIN = 5
SCHEME = re.compile(r"(?:tel|sms|smsto|callto|whatsapp|viber):(?://)?", re.IGNORECASE)
"""What stands before a number that was copied from a link or from a provider's log."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How the numbers of a calling code are made: the ``lengths`` that a whole national number may
    have, the ``prefix`` that people dial before it at home, and the ``countries`` that share the
    code.
    """

    code: int
    lengths: frozenset[int]
    prefix: re.Pattern[str] | None
    countries: tuple[str, ...]


@lru_cache(maxsize=1_000)
def plan_of(code: int) -> Plan | None:
    """The plan of a calling code, or None."""
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code)
    if countries is None:
        return None
    found = PhoneMetadata.metadata_for_region_or_calling_code(code, countries[0])
    if found is None or found.general_desc is None:
        return None
    prefix, general = found.national_prefix_for_parsing, found.general_desc
    lengths = frozenset(general.possible_length) - frozenset(general.possible_length_local_only)
    return Plan(code, lengths, re.compile(prefix) if prefix else None, tuple(countries))


def apart(number: str) -> tuple[Plan, str] | None:
    """The plan and the national part of a plain number, None for any other."""
    if not PLAIN.fullmatch(number):
        return None
    for end in range(2, CALLING_CODE_DIGITS_MAX + 2):
        plan = plan_of(int(number[1:end]))
        if plan is not None:
            national = number[end:]
            odd = national[0] == "0" or (plan.prefix is not None and plan.prefix.match(national))
            return None if odd else (plan, national)
    return None


@lru_cache(maxsize=KEPT_MAX)
def normal_phone(value: str) -> str | None:
    """
    The number as ``+`` and digits, None where it can be none.

    What nobody sees is left out. Its country and length must fit. Whether the number is assigned is
    the provider's to say: numbering plans change more often than libraries, and a number refused
    here would keep a person from every other channel as well.
    """
    plain = apart(value)
    if plain is not None and len(plain[1]) in plain[0].lengths:
        return value
    written = only_seen(value)
    if not written.startswith(PLUS_SIGNS):
        return None
    try:
        parsed = phonenumbers.parse(written)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(parsed) == ValidationResult.IS_POSSIBLE
    if not possible or parsed.extension:
        return None
    return str(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))


def looks_like_phone(text: str) -> bool:
    """Whether people would read it as a phone number, with its calling code or without."""
    written = only_seen(text)
    scheme = SCHEME.match(written)
    if scheme is not None:
        return looks_like_phone(written[scheme.end() :])
    if written.startswith(PLUS_SIGNS):
        return "@" not in written
    digits = sum(c.isdigit() for c in written)
    return digits >= LOOK_DIGITS_MIN and LOOK.fullmatch(written) is not None


def guessed_phone(text: str, countries: Sequence[str]) -> str | None:
    """
    The E.164 form that a number without its plus sign probably has; ``countries`` (ISO 3166) are
    those that it may be of.
    """
    written = SCHEME.sub("", only_seen(text), count=1)
    known = normal_phone(written)
    if known is not None:
        return known
    if written.startswith("00"):
        return normal_phone("+" + written[2:])
    for country in countries:
        try:
            parsed = phonenumbers.parse(written, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(parsed, country):
            return str(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))
    try:
        abroad = phonenumbers.parse("+" + written.lstrip("+"))
    except phonenumbers.NumberParseException:
        return None
    return normal_phone("+" + written) if phonenumbers.is_valid_number(abroad) else None


@lru_cache(maxsize=KEPT_MAX)
def country_of(phone: str) -> str:
    """The ISO 3166 country of an E.164 number, "" where it has none."""
    plain = apart(phone)
    if plain is not None:
        plan, national = plain
        if len(plan.countries) == 1:
            return plan.countries[0]
        return phonenumbers.region_code_for_number(PhoneNumber(plan.code, int(national))) or ""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone)) or ""
    except phonenumbers.NumberParseException:
        return ""
