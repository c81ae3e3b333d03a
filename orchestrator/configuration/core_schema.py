"""
What plain words of YAML mean.

Reference: YAML 1.2.2, section 10.3 (core schema).
"""

from __future__ import annotations

import re
from typing import Any, Literal

Kind = Literal["map", "list", "str", "int", "float", "bool", "null"]

KIND_NAMES: dict[Kind, str] = {
    "map": "a mapping",
    "list": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}

INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WORDS: dict[str, tuple[Kind, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), ("null", None)),
    **dict.fromkeys(("true", "True", "TRUE"), ("bool", True)),
    **dict.fromkeys(("false", "False", "FALSE"), ("bool", False)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), ("float", float("inf"))),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), ("float", float("-inf"))),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), ("float", float("nan"))),
}
DIGITS_MAX = 400


def resolve(text: str) -> tuple[Kind, Any]:
    """A plain scalar by the core schema: its kind and value."""
    if text in WORDS:
        return WORDS[text]
    if len(text) > DIGITS_MAX:
        return "str", text
    if INT.fullmatch(text):
        return "int", int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if FLOAT.fullmatch(text):
        return "float", float(text)
    return "str", text
