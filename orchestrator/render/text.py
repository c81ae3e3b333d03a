"""Text ready to be sent: without invisible characters, and cut if its author allowed that."""

from __future__ import annotations

import re
import secrets
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

from orchestrator.render.sms import shorten

CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 and C1, but for the line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u206a-\u206f"  # direction, and its deprecated kin
    # marks, noncharacters (ours among them), half characters
    "\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ud800-\udfff]"
)
ENCODED_WORD = re.compile(r"=\?.*\?=", re.DOTALL)
PARTS_MAX = 16
NONCHARACTER = 0xFDD0
"""
U+FDD0 … U+FDEF are never text: what marks a place with them cannot be seen, and what is left of it
is taken out.
"""

_SECRET = "".join(chr(NONCHARACTER + secrets.randbelow(PARTS_MAX)) for _ in range(12))
OPENS, CLOSES = _SECRET, _SECRET[::-1] + chr(NONCHARACTER + 31)


def clean(text: str) -> str:
    """Without control, direction and half characters."""
    return CONTROL.sub("", text)


def clean_html(text: str) -> str:
    """The same for HTML, whose tabs are layout."""
    return clean(text.replace("\t", " "))


def shortenable(text: str, parts: int) -> str:
    """Mark a text as one that may be cut, until the message is so many SMS parts long."""
    if not 1 <= parts <= PARTS_MAX:
        raise TemplateRuntimeError(f"truncate_sms takes 1 to {PARTS_MAX} parts")
    return f"{OPENS}{chr(NONCHARACTER + parts)}{clean(text)}{CLOSES}"


def settled(text: str, *, whole: bool) -> str:
    """
    A clean text, cut where it is marked: to the parts of all of it, or (not ``whole``) of the
    marked text alone.
    """
    before, *marked = text.split(OPENS)
    if not marked:
        return clean(text).strip()
    if len(marked) > 1:
        raise TemplateRuntimeError(
            "truncate_sms may stand once in a text: say which value is to be cut"
        )
    inner, closed, after = marked[0][1:].partition(CLOSES)
    parts = ord(marked[0][:1] or "\x00") - NONCHARACTER
    if not closed or not 1 <= parts <= PARTS_MAX:
        raise TemplateRuntimeError("truncate_sms must be the last thing that is done to a value")
    before, inner, after = clean(before).lstrip(), clean(inner), clean(after).rstrip()
    kept = shorten(before, inner, after, parts) if whole else shorten("", inner, "", parts)
    return (before + kept + after).strip()


def cleaned(value: Any) -> Any:
    """One value as it goes into a structure."""
    return settled(value, whole=False) if OPENS in value else clean(value)
