"""
Texts as SMPP carries them: the alphabet, and the parts of a long text.

Reference: 3GPP TS 23.038 6.2.1 (alphabet, extension table), TS 23.040 9.2.3.24 (user data header).
An SMSC takes the GSM alphabet unpacked, one septet an octet. A character of two codes, and a pair
of surrogates, are never split between parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Alphabet = Literal["gsm7", "latin1"]
LongTexts = Literal["udh", "sar", "payload"]

ESCAPE = 0x1B
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F,
    "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
}  # fmt: skip
CODES = {character: bytes([code]) for code, character in enumerate(BASIC) if code != ESCAPE} | {
    character: bytes([ESCAPE, code]) for character, code in EXTENSION.items()
}
EXTENDED = {code: character for character, code in EXTENSION.items()}
CODINGS = {"gsm7": 0, "latin1": 3, "ucs2": 8}
SINGLE = {"gsm7": 160, "latin1": 140, "ucs2": 140}
PART = {"gsm7": 153, "latin1": 134, "ucs2": 134}
"""Octets of a text in one part, and of each of several with a header of six octets."""


def gsm(character: str) -> bytes:
    """Raises ``KeyError``."""
    return CODES[character]


def latin(character: str) -> bytes:
    """Raises ``UnicodeEncodeError``."""
    return character.encode("latin-1")


def wide(character: str) -> bytes:
    """UTF-16, which is what UCS-2 means in practice; half a surrogate becomes a question mark."""
    return character.encode("utf-16-be", "replace")


def encoded(text: str, alphabet: Alphabet) -> tuple[str, list[bytes]]:
    """The alphabet that a text needs, and its characters in it."""
    encode: Callable[[str], bytes] = gsm if alphabet == "gsm7" else latin
    try:
        return alphabet, [encode(character) for character in text]
    except (KeyError, UnicodeEncodeError):
        return "ucs2", [wide(character) for character in text]


def parts_of(text: str, alphabet: Alphabet, whole: bool) -> tuple[int, list[bytes]]:
    """``data_coding`` and the parts of a text; ``whole``: one part, whatever its length."""
    name, characters = encoded(text, alphabet)
    if whole or sum(map(len, characters)) <= SINGLE[name]:
        return CODINGS[name], [b"".join(characters)]
    parts, size = [[]], 0  # type: list[list[bytes]], int
    for one in characters:
        if size + len(one) > PART[name]:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += len(one)
    return CODINGS[name], [b"".join(part) for part in parts]


def decoded(data: bytes, coding: int, alphabet: Alphabet) -> str:
    """A text that came in; codes that nobody knows become a question mark."""
    if coding == CODINGS["ucs2"]:
        return data.decode("utf-16-be", "replace")
    if coding == CODINGS["latin1"] or (coding == 0 and alphabet == "latin1"):
        return data.decode("latin-1")
    if coding not in (0, 1):
        return data.decode("utf-8", "replace")
    found, codes = [], iter(data)
    for code in codes:
        if code == ESCAPE:
            found.append(EXTENDED.get(next(codes, 0), " "))
        else:
            found.append(BASIC[code] if code < len(BASIC) else "?")
    return "".join(found)
