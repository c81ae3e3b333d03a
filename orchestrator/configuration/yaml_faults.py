"""What is wrong with a text that is no YAML, in words that help."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

NO_PLACE_FIX = "check the brackets, quotes and indentation"
NO_TOKEN_FIX = "indent with spaces, and quote texts that begin with a special character"
OPEN_FIX = "close the bracket or quote that is still open"
FIXES = {
    "that cannot start any token": NO_TOKEN_FIX,
    "mapping values are not allowed here": (
        "quote a text that contains ': ', and check the indentation"
    ),
    "could not find expected ':'": "check that this line reads `key: value`",
    "<stream end>": OPEN_FIX,
    "unexpected end of stream": OPEN_FIX,
    "<block end>": "check the indentation",
}


OPENED = ("flow sequence", "flow mapping", "quoted scalar", "simple key", "alias", "tag")


def explained(error: MarkedYAMLError, text: str) -> tuple[int, int, str, str]:
    """
    Line, column, what is not YAML and the fix, at the place where it began rather than where the
    reader gave up.
    """
    detail = str(error.problem or error.context or "it cannot be read")
    opened = any(one in str(error.context) for one in OPENED)
    position = (error.context_mark if opened else None) or error.problem_mark
    position = position or error.context_mark
    line, column = (position.line + 1, position.column + 1) if position is not None else (1, 1)
    fix = next((fix for sign, fix in FIXES.items() if sign in detail), NO_PLACE_FIX)
    if "'\\t'" in detail:
        what = "this is not YAML: a tab stands where spaces belong"
        return line, column, what, "indent with spaces"
    if opened and "flow" in str(error.context):
        fix = OPEN_FIX
    unclosed = unclosed_quote(text, error.problem_mark.line + 1 if error.problem_mark else line)
    if unclosed is not None:
        line, column = unclosed
        detail, fix = "a quote is opened on this line and not closed", OPEN_FIX
    return line, column, f"this is not YAML: {detail}", fix


def unclosed_quote(text: str, last: int) -> tuple[int, int] | None:
    """The first value up to a line that begins with a quote and has no second one."""
    for number, line in enumerate(text.splitlines()[:last], 1):
        found = re.match(r"""[^"'#]*[:\[{,-] +(["'])""", line)
        if found is not None and line.count(found[1]) == 1:
            return number, found.end()
    return None
