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
SHOWN_AS_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Fillers, joiners and the empty Braille pattern: letters and marks without any ink."""
VARIATION_SELECTORS = range(0xFE00, 0xFE10)


def unseen(character: str) -> bool:
    """Whether a reader sees nothing, or only a blank, where this character stands."""
    if "!" <= character <= "~":
        return False
    return (
        character in WHITE_SPACE
        or character in SHOWN_AS_NOTHING
        or ord(character) in VARIATION_SELECTORS
        or unicodedata.category(character) in (FORMAT, *BLANKS)
    )


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
    return "".join(c for c in text if not unseen(c))
