"""
Which dead letters name an erased person.

The store looks for texts, which may stand in anything; whether such a letter names the person is
decided here, by the values in it. Of an id that is 7, the letters of order 7 are not deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json import dumps
from typing import Any, NamedTuple

import orjson

PEOPLE = ("recipient", "recipients")


class Named(NamedTuple):
    """An erased person as input names them: by their id and their addresses."""

    id: str
    addresses: tuple[str, ...] = ()

    def texts(self) -> tuple[str, ...]:
        """What stands somewhere in every letter that names the person."""
        quoted = {dumps(self.id, ensure_ascii=False), dumps(self.id)}
        return (*sorted(quoted), *self.addresses)


def names(letter: bytes, headers: Mapping[str, str], person: Named) -> bool:
    """
    Whether a dead letter names a person: as its subject or as a recipient, or by an address,
    wherever that stands. What is no JSON is searched as text.
    """
    known = {address.lower() for address in person.addresses}
    if any(value == person.id or value.lower() in known for value in headers.values()):
        return True
    try:
        document = orjson.loads(letter)
    except ValueError:
        return found_in_text(letter.decode("utf-8", "replace"), person)
    return any(
        value == person.id if is_id else value.lower() in known
        for is_id, value in values_of(document)
    )


def named_in(person: Named, letters: Iterable[Sequence[Any]]) -> list[str]:
    """The ids of those letters (id, body, headers as JSON) that name a person."""
    return [id for id, body, headers in letters if names(body, orjson.loads(headers), person)]


def values_of(document: Any) -> Iterator[tuple[bool, str]]:
    """Every text of a document, and whether it stands where the id of a recipient does."""
    waiting: list[tuple[str, str, Any]] = [("", "", document)]
    while waiting:
        within, key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(key, name, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(within, key, inner) for inner in value]
        elif isinstance(value, str):
            yield key == "subject" or (key == "id" and within in PEOPLE), value
            yield False, value


def found_in_text(text: str, person: Named) -> bool:
    """The same of a text that is no JSON: by the name before the value."""
    for quoted in {dumps(person.id, ensure_ascii=False), dumps(person.id)}:
        if re.search(rf'"(?:id|subject)"\s{{0,100}}:\s{{0,100}}{re.escape(quoted)}', text):
            return True
    return any(address.lower() in text.lower() for address in person.addresses)
