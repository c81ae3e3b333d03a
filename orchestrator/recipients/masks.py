"""
Personal data replaced by made-up data of the same shape, always the same for the same person.

A masked event is decided like the original: a phone keeps its country, a name its length, its
script and its last letter (which the vocative looks at), and two different phones never become one.
What of an event's data is personal is told by the names of fields, by the form of a text, and by
the words of the person's own profile; everything else stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from orchestrator.channels.phones import apart, country_of, normal_phone
from orchestrator.channels.registry import address_fields
from orchestrator.primitives.masking import PATTERNS, WORD, is_of, stem, words_in
from orchestrator.recipients.intake import near

NAMES = ("first_name", "last_name")
KEPT = ("gender", "locale", "time_zone", "consents")
"""Fields of a profile that say too little of a person, and decide too much."""
ROUNDS = 8
ALPHABET_CHARS = 32
"""Letters are replaced within a row of so many code points, so the script stays the same."""
AREA_DIGITS = 3
"""Of a national number: they tell the country where several share a calling code."""
LOCAL_DIGITS_MIN = 4
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?")
FORMS = re.compile("|".join(f"({pattern.pattern})" for pattern, _ in PATTERNS))

KeyedHash = Callable[[str, str], str]
"""The hex digest of a purpose and a text, under a key that nobody else has."""


class Masks:
    """``also`` are names of further fields, of the data and of attributes, that are personal."""

    def __init__(self, keyed_hash: KeyedHash, also: Collection[str] = ()) -> None:
        self._hash = keyed_hash
        self._also = frozenset(name.casefold() for name in also)

    def id(self, id: str) -> str:
        """A recipient's id: all of it may be a phone or a mailbox."""
        return f"person-{self._digest('id', id)[:16]}"

    def phone(self, number: str) -> str:
        """
        Another number of the same country and length, a different one for each. What is no number
        in E.164 keeps its shape.
        """
        normal = normal_phone(number)
        if normal is None:
            return self.shape(number)
        found = apart(normal)
        national = found[1] if found is not None else normal[1:]
        local = max(LOCAL_DIGITS_MIN, len(national) - AREA_DIGITS)
        prefix, digits = normal[:-local], normal[-local:]
        while True:  # the number itself is in the cycle, so this ends, and masks stay different
            digits = self._permuted(prefix, digits)
            if country_of(prefix + digits) == country_of(normal):
                return prefix + digits

    def mailbox(self, address: str) -> str:
        return f"{self._digest('mailbox', address.casefold())[:16]}@example.com"

    def name(self, name: str) -> str:
        """Words of the same lengths and script, which end as these do."""
        return WORD.sub(lambda found: self.word(found[0]), name)

    def word(self, word: str) -> str:
        return self.shape(word[:-1]) + word[-1:] if len(word) > 2 else self.shape(word)

    def shape(self, text: str) -> str:
        """The text with other letters and digits; everything between them stays."""
        if not text:
            return text
        draws = self._draws(text.casefold())
        return "".join(replaced(one, next(draws)) if one.isalnum() else one for one in text)

    def profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """A recipient as an event has it."""
        known = words_of(profile)
        found: dict[str, Any] = {}
        for name, value in profile.items():
            if name == "id":
                found[name] = self.id(str(value))
            elif name == "consents":
                found[name] = [{**one, "source": ""} for one in value]
            elif name in KEPT:
                found[name] = value
            else:
                found[name] = self._member(name, value, known)
        return found

    def data(self, value: Any, known: frozenset[str]) -> Any:
        """A part of an event's data; ``known`` are the words of its recipients' profiles."""
        if isinstance(value, Mapping):
            return {name: self._member(name, one, known) for name, one in value.items()}
        if isinstance(value, list):
            return [self.data(one, known) for one in value]
        return self.text(value, known) if isinstance(value, str) else value

    def text(self, text: str, known: frozenset[str]) -> str:
        """A text without the addresses, links, numbers, tokens and known words in it."""
        if DATE.fullmatch(text):
            return text
        masks = (self._url, self.mailbox, self._number, self.shape, self.shape)  # as in PATTERNS
        parts: list[str] = []
        end = 0
        for found in FORMS.finditer(text):
            parts.append(self._words(text[end : found.start()], known))
            parts.append(masks[(found.lastindex or 1) - 1](found[0]))
            end = found.end()
        return "".join((*parts, self._words(text[end:], known)))

    def _member(self, name: str, value: Any, known: frozenset[str]) -> Any:
        """A field of a profile, of attributes or of data, by what its name says."""
        field = name if name in address_fields() or name in NAMES else near(name)
        if name.casefold() in self._also:
            return self._all(value, self.shape)
        if field in NAMES:
            return self._all(value, self.name)
        kind = address_fields().get(field or "")
        if kind is None:
            return self.data(value, known)
        if kind.country is not None:  # a phone
            return self._all(value, self.phone)
        if kind.identity is not None:  # a mailbox
            return self._all(value, self.mailbox)
        return self._address(value)

    def _address(self, value: Any) -> Any:
        """An address of another kind: an id keeps its shape; of a subscription its URL does."""
        if isinstance(value, Mapping):
            hidden = ("token", "endpoint", "keys", "p256dh", "auth")
            return {
                name: self._address(one) if name in hidden else one for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._address(one) for one in value]
        return self._all(value, lambda text: self._url(text) if "://" in text else self.shape(text))

    def _all(self, value: Any, mask: Callable[[str], str]) -> Any:
        """Every text and whole number within a value."""
        if isinstance(value, Mapping):
            return {name: self._all(one, mask) for name, one in value.items()}
        if isinstance(value, list):
            return [self._all(one, mask) for one in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.shape(str(value)))
        return mask(value) if isinstance(value, str) else value

    def _url(self, url: str) -> str:
        """A URL of the same host: the rest may name a person, or be a key to their account."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        host = host.rpartition("@")[2]
        return f"{scheme}://{host}{slash}{self.shape(path)}"

    def _number(self, text: str) -> str:
        if DATE.fullmatch(text):
            return text
        return self.phone(text) if text.startswith("+") else self.shape(text)

    def _words(self, text: str, known: frozenset[str]) -> str:
        """The text with the words that name a person replaced."""
        if not known:
            return text
        return WORD.sub(
            lambda found: self.word(found[0]) if is_of(found[0], known) else found[0], text
        )

    def _permuted(self, prefix: str, digits: str) -> str:
        """Other digits, by a permutation of all numbers of their length (a Feistel network)."""
        left, right = digits[: len(digits) // 2], digits[len(digits) // 2 :]
        for turn in range(ROUNDS):
            target, by = (left, right) if turn % 2 == 0 else (right, left)
            moved = int(target) + int(self._digest(f"{turn} {prefix}", by), 16)
            text = str(moved % 10 ** len(target)).zfill(len(target))
            left, right = (text, right) if turn % 2 == 0 else (left, text)
        return left + right

    def _draws(self, text: str) -> Iterator[int]:
        """As many bytes as are wanted; the same for the same text."""
        number = 0
        while True:
            yield from bytes.fromhex(self._digest(f"shape {number}", text))
            number += 1

    def _digest(self, purpose: str, text: str) -> str:
        return self._hash(f"mask {purpose}", text)


def replaced(one: str, draw: int) -> str:
    """Another letter of the same script and case, or another digit."""
    if one.isdecimal():
        return str(1 + draw % 9)  # no zero: a number that begins with one is another number
    first = ord(one) - ord(one) % ALPHABET_CHARS
    row = [chr(point) for point in range(first, first + ALPHABET_CHARS)]
    like = [other for other in row if other.isalpha() and other.islower() == one.islower()]
    return like[draw % len(like)] if like else one


def words_of(profile: Mapping[str, Any]) -> frozenset[str]:
    """The words that name a person, and what all inflections of them begin with."""
    words = {word for name in NAMES for word in words_in(profile.get(name))}
    return frozenset(words | {stem(word) for word in words})
