"""
A parser for untrusted JSON: refuses doubled keys, deep nesting and numbers that lose precision.

RFC 8259 leaves open what doubled keys mean, and parsers differ: a program that checks one reading
and acts on the other can be fooled, so they are refused. Whole numbers of more than 64 bits and NaN
are refused for the same reason.

The quick path costs a parse and a serialisation. Serialised again, a document without doubled keys
has as many colons as it came with, because JSON text outside strings keeps its colons and strings
keep theirs (but for ``\\u003a``); a doubled key loses at least one. Only if the counts differ is
it parsed a second time, slowly, to name the key.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson

DEPTH_MAX = 64
CONTAINERS = (dict, list)
WHOLE_MIN, WHOLE_MAX = -(2**63), 2**64 - 1

KEYS_MAX = 10_000
"""One call of a parser keeps every thread waiting while it makes this many different keys."""
STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"[ \t\r\n]*+(:?)', re.DOTALL)

WHOLE_FLOAT = re.compile(rb"\.0(?:[,}\]]|\Z)|[0-9]e\+[0-9]")


class NotJson(ValueError):
    """
    Has ``what`` is wrong, ``where`` (a path, may be empty), and a ``fix``; never a value of the
    text.
    """

    def __init__(self, code: str, what: str, fix: str, where: str = "") -> None:
        super().__init__(f"{what}: {fix}")
        self.code = code
        self.what = what
        self.fix = fix
        self.where = where


class Doubled(dict[str, Any]):
    """An object that had a key twice; ``key`` is the first such key."""

    key: str


def parse(body: bytes, depth_max: int = DEPTH_MAX) -> Any:
    """
    The value of a JSON text. Raises ``NotJson`` if it is invalid, or ambiguous between parsers.
    """
    value, plain = parse_loosely(body, depth_max)
    if not plain:
        refuse_oddities(value)
    return value


def parse_loosely(body: bytes, depth_max: int = DEPTH_MAX) -> tuple[Any, bool]:
    """
    The value of a JSON text, and whether it is surely free of oddities.

    If not, objects with doubled keys are ``Doubled``, numbers are exact, and the caller passes each
    part to ``refuse_oddities``: so one event of a batch is refused without the others.
    """
    if has_too_many_keys(body):
        raise NotJson(
            "too_many_keys",
            f"it has more than {KEYS_MAX} different keys",
            "send a list of objects with the same keys",
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise unreadable(error, depth_max) from None
    if body.count(b"{") + body.count(b"[") > depth_max and depth(value, depth_max) > depth_max:
        raise too_deep(depth_max)
    if is_plain(body, value):
        return value, True
    try:
        return json.loads(body, object_pairs_hook=pairs), False
    except ValueError:  # Python refuses to read whole numbers of more than 4 300 digits
        raise too_large_number() from None


def has_too_many_keys(body: bytes) -> bool:
    """
    Whether a JSON text has more different keys than one call of a parser should make. This looks at
    one string after the other, and lets other threads run meanwhile.
    """
    if body.count(b":") <= KEYS_MAX:
        return False
    keys: set[bytes] = set()
    for found in STRING.finditer(body):
        if found[2]:
            keys.add(found[1])
            if len(keys) > KEYS_MAX:
                return True
    return False


def is_plain(body: bytes, value: Any) -> bool:
    """
    Whether the quick parse lost nothing: no doubled key, and no whole number became a float (only
    floats from 1e16 on are written with ``e+``, and so is every whole number that did not fit).
    """
    again = orjson.dumps(value)
    return b"\\u003" not in body and b"e+" not in again and body.count(b":") == again.count(b":")


def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """One object of the slow parse."""
    made = dict(found)
    if len(made) == len(found):
        return made
    doubled = Doubled(made)
    counts = Counter(name for name, _ in found)
    doubled.key = next(name for name, count in counts.items() if count > 1)
    return doubled


def refuse_oddities(value: Any) -> None:
    """
    Raise ``NotJson`` if a value of ``parse_loosely`` has a doubled key or a number that is too
    large.
    """
    level: list[tuple[Any, str]] = [(value, "")]
    while level:
        below: list[tuple[Any, str]] = []
        for item, path in level:
            if isinstance(item, Doubled):
                what = f"the key {clip(item.key)!r} stands there twice"
                raise NotJson("duplicate_key", what, "keep one of them", join(path, item.key))
            if type(item) is int and not WHOLE_MIN <= item <= WHOLE_MAX:
                raise too_large_number(path)
            below.extend((inner, join(path, name)) for inner, name in children(item))
        level = below


def children(item: Any) -> list[tuple[Any, str]]:
    if isinstance(item, dict):
        return [(inner, name) for name, inner in item.items()]
    if isinstance(item, list):
        return [(inner, f"[{index}]") for index, inner in enumerate(item)]
    return []


def depth(value: Any, enough: int) -> int:
    """
    How deeply lists and objects are nested (0 for neither); counting stops one past ``enough``.
    """
    levels = 0
    level = [value] if isinstance(value, CONTAINERS) else []
    while level and levels <= enough:
        levels += 1
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [one for values in inner for one in values if isinstance(one, CONTAINERS)]
    return levels


def canonical(value: Any) -> bytes:
    """
    The same bytes for all JSON texts of equal values: keys sorted, no white space, 1.0 written as
    1.

    Raises ``NotJson`` for a lone surrogate.
    """
    try:
        found = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if (b".0" in found or b"e+" in found) and WHOLE_FLOAT.search(found):
            found = orjson.dumps(whole_floats(value), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise NotJson(
            "bad_text", "a string in it is not Unicode text", "send well-formed UTF-8"
        ) from None
    return found


def whole_floats(value: Any) -> Any:
    """The same value with whole floats as integers."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and WHOLE_MIN <= value < WHOLE_MAX else value
    if isinstance(value, dict):
        return {name: whole_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole_floats(inner) for inner in value]
    return value


def unreadable(error: orjson.JSONDecodeError, depth_max: int) -> NotJson:
    """A parser's message without any of the text."""
    if "depth limit" in error.msg:
        return too_deep(depth_max)
    if "infinity" in error.msg:
        return too_large_number()
    where = f"line {error.lineno}, column {error.colno}"
    if not error.doc:
        return NotJson("bad_json", "the body is empty", "send one JSON value")
    if "utf-8" in error.msg.lower() or "surrogate" in error.msg:
        return NotJson(
            "bad_json",
            f"the body is not well-formed UTF-8 ({where})",
            "encode it as UTF-8, without a BOM",
        )
    return NotJson(
        "bad_json",
        f"the body is not JSON ({where})",
        "check it with a JSON validator; NaN and comments are no JSON",
    )


def too_deep(depth_max: int) -> NotJson:
    return NotJson("too_deep", f"it is nested more than {depth_max} levels deep", "flatten it")


def too_large_number(where: str = "") -> NotJson:
    return NotJson(
        "number_too_large", "a number is too large to be kept exactly", "send it as a string", where
    )


def join(path: str, name: str) -> str:
    """The path of a member: ``data.items[3].price``."""
    if name.startswith("["):
        return path + name
    return f"{path}.{clip(name)}" if path else clip(name)


def clip(name: str) -> str:
    """A key, shortened for an error."""
    return name if len(name) <= 64 else f"{name[:63]}…"
