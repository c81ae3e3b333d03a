"""
Words of strangers on a terminal: what people have written, what providers answer. There a control
character moves the cursor, renames the window or hides a line, and a direction mark turns words
round.
"""

from __future__ import annotations

import re

COMMANDS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but the tab, line ends, marks of direction, halves of characters."""


def visible(text: str) -> str:
    """The text as one line that is only shown: what a terminal obeys is written out (``\\x1b``)."""
    if text.isprintable():
        return text
    return COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
