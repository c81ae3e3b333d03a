"""
Single values of a YAML file: what a node must be to mean a duration, a rate, an amount.

Each ``…_of(node, called)`` returns the value or raises ``Invalid``; ``called`` is the name of the
key in messages. A message shows a value as it is written, never what a reference stands for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from orchestrator.configuration.yaml_file import Node
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
DURATION_MS_MAX = 3650 * DAY_MS
RATE = re.compile(r"(\d{1,9})/(\d{0,9}(?:ms|s|m|h|d))")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CURRENCY = re.compile(r"[A-Z]{3}")
BOOLEAN_FIX = "write true or false (yes, no, on and off are words)"
DURATION_FIX = "write a whole number and a unit: 250ms 30s 10m 24h 7d"
NAME_FIX = "use lower-case letters, digits, _ and -, beginning with a letter, at most 64 characters"


class Invalid(Exception):
    """A value that cannot be used: what is wrong with it, and how to fix it."""

    def __init__(self, what: str, fix: str) -> None:
        self.what, self.fix = what, fix
        super().__init__(f"{what}; {fix}")


def listed(words: Collection[str]) -> str:
    """``a, b or c``."""
    ordered = list(words)
    return ordered[0] if len(ordered) == 1 else f"{', '.join(ordered[:-1])} or {ordered[-1]}"


def suggestion(word: str, known: Collection[str], otherwise: str) -> str:
    """``did you mean …?`` if a known word is near, else ``otherwise``."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean {by_lower[near[0]]!r}?" if near else otherwise


def clip(text: str) -> str:
    """A value short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "…"


def parse_duration(text: str) -> int | None:
    """Milliseconds of ``250ms 30s 10m 24h 7d``; None if it is not a duration."""
    match = DURATION.fullmatch(text)
    return int(match[1]) * UNITS_MS[match[2]] if match else None


def parse_rate(text: str) -> tuple[int, int] | None:
    """``80/s`` or ``5/1h`` as (count, window in milliseconds); None if it is not a rate."""
    match = RATE.fullmatch(text)
    if not match:
        return None
    window_ms = parse_duration(match[2] if match[2][0].isdigit() else "1" + match[2])
    count = int(match[1])
    return (count, window_ms) if count and window_ms else None


def in_brackets(node: Node) -> str:
    """`` (10)``: the scalar as written, for the end of a message."""
    return f" ({clip(node.text)})" if node.text and node.kind not in ("map", "list") else ""


def wrong_kind(node: Node, called: str, fix: str) -> Invalid:
    """``called`` is a list, a number, …, which is not the kind of value it must be."""
    return Invalid(f"{called} is {node.kind_name}{in_brackets(node)}", fix)


def text_of(node: Node, called: str, fix: str | None = None) -> str:
    """A text that is not empty."""
    if node.kind != "str":
        plain = "write a text" if node.kind in ("map", "list") else "write it in quotes"
        raise wrong_kind(node, called, fix or plain)
    if not node.value.strip():
        raise Invalid(f"{called} is empty", fix or "write a value, or remove the key")
    return str(node.value)


def name_of(node: Node, called: str) -> str:
    """A name of ours: lower case, digits, _ and -, at most 64 characters."""
    value = text_of(node, called)
    if not NAME.fullmatch(value):
        raise Invalid(f"{called} {clip(node.text)!r} is not a name", NAME_FIX)
    return value


def word_of(node: Node, called: str, choices: Collection[str]) -> str:
    """One word of a closed list."""
    if node.kind in ("map", "list"):
        raise Invalid(f"{called} is {node.kind_name}", f"write {listed(choices)}")
    if node.word not in choices:
        fix = suggestion(node.text, choices, f"write {listed(choices)}")
        raise Invalid(f"{called} cannot be {clip(node.text)!r}", fix)
    return node.word


def duration_of(node: Node, called: str) -> int:
    """A duration in milliseconds, more than 0 and at most ten years."""
    value = parse_duration(node.value) if node.kind == "str" else None
    if value is None and node.kind in ("int", "float"):
        fix = f"write the unit: {node.text}s, {node.text}m or so"
        raise Invalid(f"{called} {node.text} has no unit", fix)
    if value is None:
        shown = f"{clip(node.text)!r}" if node.text else node.kind_name
        raise Invalid(f"{called} {shown} is not a duration", DURATION_FIX)
    if value == 0:
        raise Invalid(f"{called} is zero", "write a duration longer than 0")
    if value > DURATION_MS_MAX:
        raise Invalid(f"{called} is longer than ten years", "write at most 3650d")
    return value


def whole_of(node: Node, called: str, least: int = 1, most: int = 10**9) -> int:
    """A whole number within limits."""
    value = node.value
    if node.kind == "str" and node.text != value and value.isdecimal():
        value = int(value)  # ${env:…} knows only texts
    elif node.kind != "int":
        raise wrong_kind(node, called, "write a whole number")
    if not least <= value <= most:
        what = f"{called} cannot be {clip(node.text)}"
        raise Invalid(what, f"write a number from {least} to {most}")
    return int(value)


def ratio_of(node: Node, called: str) -> float:
    """A share above 0 and at most 1."""
    if node.kind not in ("int", "float"):
        raise wrong_kind(node, called, "write a number from 0 to 1, such as 0.5")
    if not 0 < node.value <= 1:
        raise Invalid(f"{called} cannot be {node.text}", "write a share above 0 and at most 1")
    return float(node.value)


def boolean_of(node: Node, called: str) -> bool:
    """``true`` or ``false``; YAML 1.2 knows no other."""
    if node.kind != "bool":
        raise wrong_kind(node, called, BOOLEAN_FIX)
    return bool(node.value)


def amount_of(node: Node, called: str) -> Decimal:
    """An amount of money, exactly as written: a decimal text or a plain number, not negative."""
    try:
        value = Decimal(node.word) if node.kind in ("str", "int", "float") else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or value < 0 or "e" in node.word.lower():
        what = f"{called} is not an amount of money{in_brackets(node)}"
        raise Invalid(what, 'write an amount such as "1.20"')
    return value


def currency_of(node: Node, called: str) -> str:
    """A currency code of ISO 4217."""
    value = text_of(node, called)
    if not CURRENCY.fullmatch(value):
        what = f"{called} {clip(node.text)!r} is not a currency code"
        raise Invalid(what, "write three capital letters, such as UAH")
    return value


def rate_of(node: Node, called: str) -> tuple[int, int]:
    """``80/s`` or ``5/1h`` as (count, window in milliseconds)."""
    value = parse_rate(node.value) if node.kind == "str" else None
    if value is None:
        what = f"{called} is not a rate{in_brackets(node)}"
        raise Invalid(what, "write a count and a time: 80/s or 5/1h")
    return value


def duration_text(value_ms: int) -> str:
    """A duration as it would be written, in the largest unit that is exact."""
    for unit, size in reversed(UNITS_MS.items()):
        if value_ms and value_ms % size == 0:
            return f"{value_ms // size}{unit}"
    return "0s"
