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
from orchestrator.primitives.durations import UNITS_MS, parse_duration

LOOSE_DURATION = re.compile(r"([-+]?)(\d{1,12}(?:[.,]\d{1,3})?)\s*([^\W\d]+)\s*", re.ASCII)
LOOSE_UNITS_MS = {
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECOND_MS),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE_MS),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR_MS),
    **dict.fromkeys(("d", "day", "days"), DAY_MS),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY_MS),
    **dict.fromkeys(("mo", "month", "months"), 30 * DAY_MS),
    **dict.fromkeys(("y", "year", "years"), 365 * DAY_MS),
}
NUMBER_WORDS = {"one": 1, "two": 2, "three": 3, "five": 5, "ten": 10, "a": 1, "an": 1}
DURATION_MS_MAX = 3650 * DAY_MS
RATE = re.compile(r"(\d{1,9})/(\d{0,9}(?:ms|s|m|h|d))")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CURRENCY = re.compile(r"[A-Z]{3}")
BOOLEAN_FIX = "write true or false (yes, no, on and off are words)"
DURATION_FIX = "write a whole number and a unit: 250ms 30s 10m 24h 7d"
NAME_FIX = "lower-case letters, digits, _ and -, beginning with a letter, at most 64 characters"


class Invalid(Exception):
    """A value that cannot be used: what is wrong with it, and how to fix it."""

    def __init__(self, what: str, fix: str) -> None:
        self.what, self.fix = what, fix
        super().__init__(f"{what}; {fix}")


def listed(words: Collection[str]) -> str:
    """``a, b or c``."""
    ordered = list(words)
    return ordered[0] if len(ordered) == 1 else f"{', '.join(ordered[:-1])} or {ordered[-1]}"


ELSEWHERE = {
    "if": "when",
    "condition": "when",
    "steps": "cascade",
    "fallback": "cascade",
    "type": "event",
    "on": "trigger",
    "ttl": "deadline",
    "expires": "deadline",
    "from": "sender",
    "price": "amount",
    "user": "username",
    "mechanism": "sasl_mechanism",
    "times": "max",
    "attempts": "max",
    "seen": "read",
    "opened": "read",
    "open": "read",
    "expects": "expect",
}
"""What other systems call some of our keys and states."""


def meant(word: str, known: Collection[str]) -> str | None:
    """The known word that somebody probably meant, None if none is near."""
    by_lower = {one.lower().replace("_", ""): one for one in known}
    lower = re.sub(r"[^\w]", "", word.lower().replace("_", ""))
    if lower in by_lower:
        return by_lower[lower]
    if ELSEWHERE.get(word.lower()) in known:
        return ELSEWHERE[word.lower()]
    near = difflib.get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    if near:
        return by_lower[near[0]]
    within = [one for one in known if lower in one.lower().split("_")]
    return within[0] if len(within) == 1 else None


def suggestion(word: str, known: Collection[str], otherwise: str) -> str:
    """``did you mean …?`` if a known word is near, else ``otherwise``."""
    near = meant(word, known)
    return f"did you mean {near!r}?" if near is not None else otherwise


def clip(text: str) -> str:
    """A value short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "…"


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
        raise Invalid(f"{called} {clip(node.text)!r} is not a name", name_fix(value))
    return value


def name_fix(value: str) -> str:
    """How to write a name, with the nearest one that may be written."""
    near = re.sub(r"[^a-z0-9_-]+", "_", value.lower()).strip("_-")[:64]
    return f"write {near}: {NAME_FIX}" if NAME.fullmatch(near) else NAME_FIX


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
    if value is None and node.kind in ("map", "list"):
        raise wrong_kind(node, called, DURATION_FIX)
    loose = loose_duration(node.word) if value is None else None
    if node.text.startswith("-") and value is None:
        fix = "write a duration longer than 0" + (f": {duration_text(-loose)}" if loose else "")
        raise Invalid(f"{called} {clip(node.text)!r} is negative", fix)
    if value is None and node.kind == "int" and node.value == 0:
        raise Invalid(f"{called} is zero", "write a duration longer than 0")
    if value is None and node.kind in ("int", "float"):
        written = ", ".join(f"{node.text}{unit}" for unit in ("s", "m", "h"))
        raise Invalid(f"{called} {node.text} has no unit", f"write it: {written} or {node.text}d")
    if value is None:
        shown = f"{clip(node.text)!r}" if node.text else node.kind_name
        fix = f"write {duration_text(loose)}" if loose else DURATION_FIX
        raise Invalid(f"{called} {shown} is not a duration", fix)
    if value == 0:
        raise Invalid(f"{called} is zero", "write a duration longer than 0")
    if value > DURATION_MS_MAX:
        raise Invalid(f"{called} is longer than ten years", "write at most 3650d")
    return value


def loose_duration(text: str) -> int | None:
    """
    The milliseconds that ``1h30m``, ``8 sec``, ``1.5 hours`` or ``PT24H`` probably mean, None if
    nobody can tell. Nothing is read by this: it is for the fix of a message.
    """
    words = [str(NUMBER_WORDS.get(word, word)) for word in text.lower().removeprefix("p").split()]
    rest = " ".join(words).removeprefix("t").strip()
    total, found = 0.0, bool(rest)
    while rest:
        match = LOOSE_DURATION.match(rest)
        size = LOOSE_UNITS_MS.get(match[3]) if match else None
        if match is None or size is None:
            return None
        total += float(match[2].replace(",", ".")) * size * (-1 if match[1] == "-" else 1)
        rest = rest[match.end() :]
    return round(total) if found and total and abs(total) <= DURATION_MS_MAX else None


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
        number = re.search(r"\d+(?:[.,]\d+)?", node.word)
        shown = number[0].replace(",", ".") if number and node.kind == "str" else "1.20"
        raise Invalid(what, f'write an amount such as "{shown}"')
    return value


def currency_of(node: Node, called: str) -> str:
    """A currency code of ISO 4217."""
    value = text_of(node, called)
    if not CURRENCY.fullmatch(value):
        what = f"{called} {clip(node.text)!r} is not a currency code"
        upper = value.upper()
        fix = f"write {upper}" if CURRENCY.fullmatch(upper) else "write UAH, three capital letters"
        raise Invalid(what, fix)
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
