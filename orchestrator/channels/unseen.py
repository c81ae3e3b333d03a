"""
Characters that nobody sees. They come along when an address is copied from a contact list, a chat
or a web page: bidi marks, zero-width characters, no-break and other blanks.
"""

from __future__ import annotations

import unicodedata

WRITTEN_LENGTH_MAX = 512
"""What is longer becomes no address by leaving out what nobody sees."""
FORMAT, BLANKS = "Cf", ("Zs", "Zl", "Zp")
WHITE_SPACE = frozenset("\t\n\v\f\r\x85")
FILLERS = (
    0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0,
)  # fmt: skip
VARIATION_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
INKLESS = frozenset(map(chr, (*FILLERS, *VARIATION_SELECTORS)))
"""
Letters and marks without any ink, beside the format characters (UCD, Default_Ignorable_Code_Point;
and the empty Braille pattern).
"""


def inkless(character: str) -> bool:
    """Whether nothing at all is shown for a character, not even a blank."""
    return character in INKLESS or unicodedata.category(character) == FORMAT


def unseen(character: str) -> bool:
    """Whether a reader sees nothing, or only a blank, where this character stands."""
    if "!" <= character <= "~":
        return False
    return (
        inkless(character) or character in WHITE_SPACE or unicodedata.category(character) in BLANKS
    )


def without_inkless(text: str) -> str:
    """The text without the characters for which nothing is shown; its blanks stay."""
    return text if text.isascii() else "".join(c for c in text if not inkless(c))


def trimmed(text: str) -> str:
    """The text without what nobody sees at its ends."""
    start, end = 0, len(text)
    while start < end and unseen(text[start]):
        start += 1
    while end > start and unseen(text[end - 1]):
        end -= 1
    return text[start:end]


def only_seen(text: str) -> str:
    """The text without what nobody sees anywhere in it."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    return "".join(c for c in text if not unseen(c))
