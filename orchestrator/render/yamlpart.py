"""Expressions in YAML parts: only inside double-quoted values, and escaped for them."""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup

JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
BEFORE_A_VALUE = ":,-[{"


def misplaced(text: str) -> tuple[int, int] | None:
    """
    Line and column of the first thing that could let a value out of its place.

    That is an expression outside a double-quoted value, but also a quote in the middle of a plain word, which would only
    look like one, a value in single quotes, and a block of text (``|`` or ``>``).
    """
    text = JINJA.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    quoted = False
    position = 0
    while position < len(text):
        letter = text[position]
        if text.startswith("{{", position):
            if not quoted:
                return place(text, position)
            end = text.find("}}", position)
            position = end + 2 if end >= 0 else len(text)
            continue
        if quoted:
            quoted = letter != '"'
            position += 2 if letter == "\\" else 1
            continue
        if letter == "#" and (position == 0 or text[position - 1] in " \n"):
            end = text.find("\n", position)
            position = end if end >= 0 else len(text)
            continue
        if letter == '"':
            if not begins_a_value(text, position):
                return place(text, position)
            quoted = True
        elif letter == "'" or (letter in "|>" and begins_a_value(text, position)):
            return place(text, position)
        position += 1
    return None


def begins_a_value(text: str, position: int) -> bool:
    """Whether a value may begin here: after a key, a dash, a bracket, or at a line's start."""
    before = text[:position].rstrip(" ")
    return not before or before[-1] in BEFORE_A_VALUE or before[-1] == "\n"


def place(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def escape_scalar(value: Any) -> Markup:
    """A value as it must stand inside a double-quoted YAML scalar (JSON's escapes are YAML's)."""
    text = str(value).encode("utf-8", "replace").decode()
    return Markup(json.dumps(text, ensure_ascii=False)[1:-1].translate(LINE_ENDS))
