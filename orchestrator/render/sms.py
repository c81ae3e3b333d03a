"""
SMS knows its alphabet and its parts.

A text whose every character is in the GSM alphabet travels as 7-bit septets (160 in one part, 153
in each of several); any other character turns the whole text into 16-bit units (70 and 67).
Characters of the extension table cost an escape and a code, characters beyond the basic plane two
units, and neither pair is ever split between two parts: so parts are counted by packing, not by
dividing.

Reference: 3GPP TS 23.038 6.2.1 (alphabet and extension table), TS 23.040 9.2.3.24.1 (concatenation,
8-bit reference).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from orchestrator.render.graphemes import cut

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic table in the order of its codes, without the escape (0x1B), which is no character."""

EXTENSION = "\f^{}\\[~]|€"
"""Each costs two septets."""

_GSM = frozenset(BASIC + EXTENSION)
_EXTENDED = frozenset(EXTENSION)

GSM_SINGLE, GSM_PART = 160, 153
UCS_SINGLE, UCS_PART = 70, 67
BASIC_PLANE_LAST = "\uffff"

PLAINER = str.maketrans(
    dict.fromkeys("«»„“”", '"')
    | dict.fromkeys("’‘ʼ", "'")
    | dict.fromkeys("–—", "-")
    | {"…": "...", "\u00a0": " ", "\u202f": " "}
)

Alphabet = Literal["gsm7", "ucs2"]


@dataclass(frozen=True, slots=True)
class SmsCount:
    """
    ``units`` are septets (gsm7) or 16-bit units (ucs2); ``parts`` is what it is billed as, at least
    one.
    """

    alphabet: Alphabet
    units: int
    parts: int


def in_gsm(text: str) -> bool:
    """Whether every character of a text is in the GSM alphabet."""
    return _GSM.issuperset(text)


def count(text: str) -> SmsCount:
    """The alphabet, units and parts of a text."""
    if _GSM.issuperset(text):
        doubled = _EXTENDED.intersection(text)
        units = len(text) + sum(text.count(character) for character in doubled)
        return SmsCount(
            "gsm7", units, _parts(text, units, bool(doubled), GSM_SINGLE, GSM_PART, _gsm_cost)
        )
    beyond = max(text) > BASIC_PLANE_LAST
    units = len(text) + (sum(character > BASIC_PLANE_LAST for character in text) if beyond else 0)
    return SmsCount("ucs2", units, _parts(text, units, beyond, UCS_SINGLE, UCS_PART, _ucs_cost))


def _gsm_cost(character: str) -> int:
    return 2 if character in _EXTENDED else 1


def _ucs_cost(character: str) -> int:
    return 2 if character > BASIC_PLANE_LAST else 1


def _parts(
    text: str, units: int, pairs: bool, single: int, part: int, cost: Callable[[str], int]
) -> int:
    if units <= single:
        return 1
    if not pairs:
        return -(-units // part)
    parts, used = 1, 0
    for character in text:
        size = cost(character)
        if used + size > part:
            parts, used = parts + 1, 0
        used += size
    return parts


def shorten(before: str, text: str, after: str, parts: int) -> str:
    """
    As much of ``text`` as lets ``before + text + after`` fit into ``parts`` parts.

    It ends at a word where there is one, with an ellipsis in the alphabet of the whole: three dots
    where everything else is GSM (the one character would turn it all into 16-bit units), ``…``
    where it is not. Empty where nothing fits.
    """

    def fits(candidate: str) -> bool:
        return count(before + candidate + after).parts <= parts

    if fits(text):
        return text
    low, high = 0, min(len(text), parts * GSM_PART + GSM_SINGLE)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if fits(_dotted(before, text[:middle], after)) else (low, middle - 1)
        )
    if low == 0:
        return ""
    shorter = _dotted(before, _at_a_word(text, low), after)
    return shorter if fits(shorter) else ""


def _dotted(before: str, kept: str, after: str) -> str:
    return kept + ("..." if _GSM.issuperset(before + kept + after) else "…")


def _at_a_word(text: str, length: int) -> str:
    """At most ``length`` characters, back to a word's end, or to that of a cluster."""
    kept = text[:length]
    if not text[length : length + 1].isspace():
        words = kept.rsplit(None, 1)
        kept = words[0] if len(words) == 2 else cut(text, length)
    return kept.rstrip().rstrip(",;:.–—-(«\"'").rstrip() or kept


def plainer(text: str) -> str:
    """Typographic quotes, dashes and spaces as their ASCII cousins, which cost one septet."""
    return text.translate(PLAINER)
