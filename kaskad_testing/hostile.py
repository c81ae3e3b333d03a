"""What anybody may send: strange values and bodies, and examples bent in one place."""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Iterator
from typing import Any

from kaskad_testing.examples import changed
from orchestrator import channels as ch

DEEP: Any = None
for _ in range(200):
    DEEP = {"a": [DEEP]}

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, math.inf, math.nan, 10**4000, -(10**40)),
    *("", "\ud800", "a\x00b", "²", "x" * 5000, [], {}, [[]], [None, 1, "x"], {"a": {}}, DEEP),
)
"""Junk values in place of a sensible one."""

HOSTILE_BODIES: tuple[bytes, ...] = (
    *(
        b"",
        b"null",
        b"true",
        b"0",
        b'"x"',
        b"[]",
        b"{}",
        b"[[]]",
        b"{",
        b'{"a":',
        b"\x00" * 64,
        b"\xff\xfe\xfd",
    ),
    *(
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b"9" * 5000,
        b"NaN",
        b"-Infinity",
        b'"\\ud800"',
        b"=&=&&=",
        b"%%%=%zz&\xff=1",
    ),
    *(
        b"<html><body>Bad Gateway</body></html>",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"x" * 1_000_000,
    ),
    b'{"results": {"0": {}}, "entry": "x", "messages": 5, "event": [], "status": {}, "error": []}',
)

JUNK_BODIES: tuple[bytes, ...] = (
    *(
        b"",
        b"<html><body>Bad Gateway</body></html>",
        b"{}",
        b"[]",
        b"null",
        b'"ok"',
        b'{"error": "down"}',
    ),
    *(
        b'{"status": "ok", "code": null}',
        b'{"error": {"code": "x"}, "messages": [{}]}',
        b"\x80\x81\x82",
        b"x" * 1_000_000,
    ),
)
"""Bodies that say nothing in any provider's language."""


def mutations(value: Any) -> Iterator[Any]:
    """``value`` with one thing in it replaced by each strange one, or left out."""
    yield from STRANGE
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            for variant in mutations(inner):
                yield {**value, key: variant}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for variant in mutations(inner):
                yield [*value[:index], variant, *value[index + 1 :]]


def leaves_replaced(value: Any, text: str) -> Iterator[Any]:
    """``value`` with one string in it replaced by ``text``."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, dict):
        for key, inner in value.items():
            for variant in leaves_replaced(inner, text):
                yield {**value, key: variant}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for variant in leaves_replaced(inner, text):
                yield [*value[:index], variant, *value[index + 1 :]]


def hostile_hooks(original: ch.Webhook) -> Iterator[ch.Webhook]:
    """Webhooks that look like ``original`` and are wrong in one place."""
    for body in HOSTILE_BODIES:
        yield changed(original, body)
    for end in range(0, len(original.body), max(1, len(original.body) // 40)):
        yield changed(original, original.body[:end])
    document = original.json()
    if document is not None:
        for variant in mutations(document):
            yield changed(original, json.dumps(variant).encode())
        return
    form = original.form()
    for key in form:
        yield changed(
            original, urllib.parse.urlencode({k: v for k, v in form.items() if k != key}).encode()
        )
        for strange in ("", "\x00", "²", "9" * 5000, "-1", "x" * 5000, "delivered", "{}"):
            yield changed(original, urllib.parse.urlencode({**form, key: strange}).encode())
