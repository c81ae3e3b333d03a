"""Expressions in YAML parts: only inside double-quoted values, and escaped for them."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup


def misplaced(text: str) -> tuple[int, int] | None:
    """Line and column of the first expression that does not stand inside a double-quoted value."""
    quoted = False
    position = 0
    while position < len(text):
        if text.startswith("{{", position):
            if not quoted:
                line = text.count("\n", 0, position) + 1
                return line, position - text.rfind("\n", 0, position)
            end = text.find("}}", position)
            position = end + 2 if end >= 0 else len(text)
            continue
        if text.startswith(("{%", "{#"), position):
            end = text.find("%}" if text[position + 1] == "%" else "#}", position)
            position = end + 2 if end >= 0 else len(text)
            continue
        letter = text[position]
        if letter == "\\" and quoted:
            position += 2
            continue
        if letter == '"':
            quoted = not quoted
        elif letter == "#" and not quoted and (position == 0 or text[position - 1] in " \n"):
            end = text.find("\n", position)
            position = end if end >= 0 else len(text)
            continue
        position += 1
    return None


def escape_scalar(value: Any) -> Markup:
    """A value as it must stand inside a double-quoted YAML scalar (JSON's escapes are YAML's)."""
    return Markup(json.dumps(str(value), ensure_ascii=False)[1:-1])
