"""
Text ready to be sent: in NFC, its white space blanks and line ends, without what nobody sees, and
cut if its author allowed that.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

from orchestrator.channels.unseen import inkless
from orchestrator.render.sms import in_gsm, shorten

LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
BLANKS = re.compile("[\t\x1f]")
CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 and C1, but for the line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u206a-\u206f"  # direction, and its deprecated kin
    "\u2028\u2029"
    # marks, noncharacters (ours among them), half characters
    "\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ud800-\udfff]"
)
MARKS_MAX = 30
"""Of one letter, as in the Stream-Safe Text Format (UAX 15): more cannot be read by anyone."""
TOO_MANY_MARKS = re.compile(b"[^\0]{%d,}" % (MARKS_MAX + 1))
COMPOSED = re.compile(
    "[\x00-\u02ff\u0388-\u0482\u048a-\u0590\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2116"
    "\U0001f300-\U0001faff]*"
)
"""Latin, Greek and Cyrillic letters, signs, emoji: no marks, and nothing that NFC changes."""
FEW = 500
PARTS_MAX = 16
NONCHARACTER = 0xFDD0
"""
U+FDD0 … U+FDEF are never text: what marks a place with them cannot be seen, and what is left of it
is taken out.
"""

_SECRET = "".join(chr(NONCHARACTER + secrets.randbelow(PARTS_MAX)) for _ in range(12))
OPENS, CLOSES = _SECRET, _SECRET[::-1] + chr(NONCHARACTER + 31)
ABBREVIATED = chr(NONCHARACTER + 30)
"""Stands after the full stop of an abbreviation that a filter wrote: «21 листопада 2026 р.»"""
DOT_TWICE = re.compile(rf"\.{ABBREVIATED}((?:<[^<>]{{0,200}}>){{0,8}})\.(?!\.)")


def has_encoded_word(text: str) -> bool:
    """Whether a mail program may read a part of the text as an encoded word (RFC 2047)."""
    return "?=" in text.partition("=?")[2]


def nfc(text: str) -> str:
    """
    A text in NFC, each letter with at most ``MARKS_MAX`` marks: putting marks in order takes the
    square of their number.
    """
    if COMPOSED.fullmatch(text):
        return text
    if len(text) > FEW:
        classes = bytes(map(unicodedata.combining, text))
        runs = [run.span() for run in TOO_MANY_MARKS.finditer(classes)]
        starts, ends = [0, *(end for _, end in runs)], [start + MARKS_MAX for start, _ in runs]
        text = "".join(text[a:b] for a, b in zip(starts, [*ends, len(text)], strict=True))
    return unicodedata.normalize("NFC", text)


def abbreviated(text: str) -> str:
    """A text of ours; the full stop at its end also serves for the sentence that it ends."""
    return text + ABBREVIATED if text.endswith(".") else text


def clean(text: str) -> str:
    """
    White space as blanks and line ends, and without control, direction and half characters. What is
    white space is never taken out: words that it parts would become one.
    """
    if CONTROL.search(text) is None:
        return text
    text = DOT_TWICE.sub(r".\1", text)
    return CONTROL.sub("", BLANKS.sub(" ", LINE_ENDS.sub("\n", text)))


def clean_html(text: str) -> str:
    """The same for HTML; its values are in NFC already, and ``>`` composes with a mark after it."""
    return clean(text)


def shortenable(text: str, parts: int) -> str:
    """Mark a text as one that may be cut, until the message is so many SMS parts long."""
    if not 1 <= parts <= PARTS_MAX:
        raise TemplateRuntimeError(f"truncate_sms takes 1 to {PARTS_MAX} parts")
    return f"{OPENS}{chr(NONCHARACTER + parts)}{clean(text)}{CLOSES}"


def settled(text: str, *, whole: bool) -> str:
    """
    A clean text, cut where it is marked: to the parts of all of it, or (not ``whole``) of the
    marked text alone. A ``whole`` text is an SMS: there, what nobody sees is no reason to use
    16-bit units for all of it.
    """
    before, *marked = nfc(text).split(OPENS)
    if not marked:
        text = clean(before)
        return (seen(text) if whole else text).strip()
    if len(marked) > 1:
        raise TemplateRuntimeError(
            "truncate_sms may stand once in a text: say which value is to be cut"
        )
    inner, closed, after = marked[0][1:].partition(CLOSES)
    parts = ord(marked[0][:1] or "\x00") - NONCHARACTER
    if not closed or not 1 <= parts <= PARTS_MAX:
        raise TemplateRuntimeError("truncate_sms must be the last thing that is done to a value")
    before, inner, after = clean(before).lstrip(), clean(inner), clean(after).rstrip()
    if whole:
        before, inner, after = seen(before), seen(inner), seen(after)
    kept = shorten(before, inner, after, parts) if whole else shorten("", inner, "", parts)
    return (before + kept + after).strip()


def seen(text: str) -> str:
    """
    The same text in the GSM alphabet where only what cannot be seen keeps it out of it (a
    zero-width space, a joiner without emoji, a no-break space); else as it is.
    """
    if text.isascii() or in_gsm(text):
        return text
    shown: dict[int, str | None] = {}
    for character in text:
        if ord(character) not in shown and not in_gsm(character):
            blank = unicodedata.category(character) == "Zs"
            if not blank and not inkless(character):
                return text
            shown[ord(character)] = " " if blank else None
    return text.translate(shown)


def cleaned(value: Any) -> Any:
    """One value as it goes into a structure."""
    return settled(value, whole=False) if OPENS in value else clean(nfc(value))
