"""
Where a text may be cut: between grapheme clusters, never inside what a reader sees as one character
(a flag, a family, a letter with its accents, a syllable).

Reference: UAX 29, extended grapheme clusters.
"""

from __future__ import annotations

import regex

CLUSTER = regex.compile(r"\X")
LOOKED_BACK_MAX = 256


def whole_length(text: str, length: int) -> int:
    """The largest length up to this one at which a text can be cut."""
    if length >= len(text) or length <= 0:
        return max(0, min(length, len(text)))
    start = length - 1
    if simple(text[start]) and simple(text[length]):
        return length
    first = max(0, length - LOOKED_BACK_MAX)
    while start > first and not simple(text[start]):
        start -= 1
    end = start
    # a cut text, because the library looks back through all flags to the beginning of what it gets
    for cluster in CLUSTER.finditer(text[start : length + 1]):
        if start + cluster.end() > length:
            break
        end = start + cluster.end()
    return end


def simple(character: str) -> bool:
    """Printable ASCII: a cluster begins with it, whatever stands before."""
    return " " <= character < "\x7f"


def cut(text: str, length: int) -> str:
    """At most so many characters of a text."""
    return text[: whole_length(text, length)]
