"""
Masks personal data in text that others wrote: providers' errors, webhooks, libraries' warnings.

Addresses, numbers, URLs, tokens and keys are known by their form. Names and the words of a message
are not, so ``without`` is given what is known of the person and of the event.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

PATTERNS = (
    (re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{0,15}://\S+"), "<url>"),
    (re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\+?\d[\d\s().-]{7,}\d"), "<number>"),
    (re.compile(r"\b(?:kk_|whsec_|Bearer\s+|Basic\s+|App\s+)\S+"), "<secret>"),
    (re.compile(r"[A-Za-z0-9_-]{40,}"), "<token>"),
)
WORD = re.compile(r"[^\W_]+")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
WORD_LETTERS_MIN = 3
ENDING_LETTERS = 2
"""Inflections of a name differ in their last letters: Олена, Олено, Олени."""
TEXT_CHARS_MAX = 2_000
WORDS_MAX = 5_000
HIDDEN = "***"


def masked(text: str) -> str:
    """The text without what has the form of an address, a number, a URL or a secret."""
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def without(text: str, values: Iterable[Any]) -> str:
    """``masked``, and without the words of ``values``, in any inflection or escaping."""
    plain = unquote(html.unescape(ESCAPED.sub(lambda m: chr(int(m[1], 16)), text[:TEXT_CHARS_MAX])))
    plain = plain.encode("utf-8", "replace").decode()
    words = {word for value in values for word in words_in(value)}
    known = words | {stem(word) for word in words}

    def hidden(found: re.Match[str]) -> str:
        return HIDDEN if is_of(found[0], known) else found[0]

    return masked(WORD.sub(hidden, masked(plain)))


def is_of(word: str, known: Collection[str]) -> bool:
    """Whether it is one of the ``known`` words and stems, or an inflection of one."""
    word = word.casefold()
    begins = range(max(2, len(word) - ENDING_LETTERS * (1 if word.isascii() else 2)), len(word))
    return word in known or any(word[:letters] in known for letters in begins)


def stem(word: str) -> str:
    """What the inflections of a word have in common; providers' own words are ASCII."""
    return word[: max(WORD_LETTERS_MIN if word.isascii() else 2, len(word) - ENDING_LETTERS)]


def words_in(value: Any) -> Iterator[str]:
    """Every word of a JSON value that is long enough to mean somebody or something."""
    waiting, left = [value], WORDS_MAX
    while waiting and left > 0:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, str | int | float) and not isinstance(one, bool):
            for found in WORD.finditer(str(one)[:TEXT_CHARS_MAX]):
                if len(found[0]) >= WORD_LETTERS_MIN:
                    left -= 1
                    yield found[0].casefold()
