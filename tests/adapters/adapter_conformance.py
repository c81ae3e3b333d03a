"""
The examples an adapter brings to its conformance suite, and the inputs the suite sends it.

An adapter named ``pigeon_sms`` brings ``tests/adapters/examples_pigeon_sms.py`` with one ``EXAMPLES
= Examples(…)``: a table of what stands on the wire and what it means. ``test_adapters.py`` finds it
by its name and checks, besides the table, what authors forget: every status, strange bodies, forged
and hostile webhooks, leaked secrets, repeated requests.
"""

from __future__ import annotations

import importlib
import json
import math
import tomllib
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator import channels as ch
from orchestrator.channels.registry import address_kinds

HERE = Path(__file__).parent
NOW = 1_795_600_000.0
REFERENCE = "kRf7Qy-reference_0123456789abcdef"
RECEIPT_URL = "https://kaskad.example.com/v1/receipts/main"
FORM = "application/x-www-form-urlencoded"

Said = ch.Receipt | ch.Inbound | ch.Preference


@dataclass(frozen=True, kw_only=True)
class RequestExample:
    """
    A message and its request. ``headers`` are those that must be there; one of json, form and body
    is compared.
    """

    promise: str
    message: ch.Outgoing
    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class ReplyExample:
    """
    An answer of the provider and what it means. ``detail`` of the outcome is compared only where it
    is not empty.
    """

    promise: str
    reply: ch.HttpReply
    outcome: ch.Outcome


@dataclass(frozen=True, kw_only=True)
class HookExample:
    """
    A webhook before it is signed and everything it says; details are compared only where they are
    not empty.
    """

    promise: str
    hook: ch.Webhook
    says: tuple[Said, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """
    One adapter's table.

    ``sign(hook, secret)`` returns the webhook as the provider would send it, signed with
    ``secret``; ``proof`` is the header (lower case) that carries the proof. ``signs_body`` is False
    where the proof is a login that knows nothing of the body. ``rotates`` names the setting that
    takes a list of secrets. ``forged`` are webhooks that must be refused besides those that the
    suite makes up.

    ``status_decides``: the provider documents a good status alone as "taken", so the suite does not
    demand that an unreadable 2xx is Unknown. ``receipt_of(call)`` is the receipt the provider would
    send for a request: what an adapter with ``echo`` must find its reference in. ``elsewhere`` are
    declared states that no webhook of the provider reports.
    """

    adapter: str
    settings: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    requests: tuple[RequestExample, ...] = ()
    replies: tuple[ReplyExample, ...] = ()
    hooks: tuple[HookExample, ...] = ()
    sign: Callable[[ch.Webhook, str], ch.Webhook] | None = None
    secret: str = ""
    proof: str = ""
    signs_body: bool = True
    rotates: str | None = None
    forged: tuple[ch.Webhook, ...] = ()
    status_decides: bool = False
    receipt_of: Callable[[ch.HttpCall], ch.Webhook] | None = None
    elsewhere: frozenset[str] = frozenset()

    def build(self, **changed: Any) -> ch.Adapter[Any]:
        """The adapter with the example's settings."""
        kind = adapter_type(self.adapter)
        return kind(kind.settings_type(**{**self.settings, **changed}), "main")

    def http(self) -> ch.HttpAdapter[Any]:
        """The adapter, where it speaks HTTP."""
        adapter = self.build()
        assert isinstance(adapter, ch.HttpAdapter)
        return adapter

    def signed(self, hook: ch.Webhook, secret: str | None = None) -> ch.Webhook:
        """The webhook as the provider sends it."""
        return self.sign(hook, self.secret if secret is None else secret) if self.sign else hook


@cache
def entry_points() -> dict[str, str]:
    """The built-in adapters as the project registers them: name to ``module:Class``."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = project["entry-points"]["kaskad.adapters"]
    return found


def adapter_type(name: str) -> type[ch.Adapter[Any]]:
    """The class that is registered under a name."""
    module, _, kind = entry_points()[name].partition(":")
    found: type[ch.Adapter[Any]] = getattr(importlib.import_module(module), kind)
    return found


def all_examples() -> list[Examples]:
    """Every ``examples_<adapter>.py`` beside this file."""
    names = sorted(path.stem for path in HERE.glob("examples_*.py"))
    return [importlib.import_module(f"tests.adapters.{name}").EXAMPLES for name in names]


def outgoing(kind: str = "phone", value: str = "+380501234567", **changed: Any) -> ch.Outgoing:
    """A message with everything in it; ``changed`` replaces what matters to an example."""
    fields: dict[str, Any] = {
        "message_id": "0192f0c1-7d3c-7000-8000-000000000001",
        "client_reference": REFERENCE,
        "idempotency_key": "0123456789abcdef0123456789abcdef",
        "address": ch.Address(kind, value, "hash-of-the-address"),
        "content": {"text": "Ваш кошик чекає"},
        "message_class": "transactional",
        "topic": "orders",
        "locale": "uk-UA",
        "ttl_seconds": 600,
        "receipt_url": RECEIPT_URL,
        "receipt_token": "signed-token",
        "unsubscribe_url": None,
        "one_click": False,
        "in_session": False,
        "now": NOW,
        "entropy": bytes(range(64)),
    }
    return ch.Outgoing(**{**fields, **changed})


def reply(status: int, body: Any = b"", **headers: str) -> ch.HttpReply:
    """
    An answer; a body that is not bytes is sent as JSON. ``retry_after="7"`` is the header
    ``retry-after``.
    """
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ch.HttpReply(status=status, headers=named, body=raw, now=NOW)


def hook(
    *,
    body: bytes = b"",
    json_body: Any = None,
    form: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    method: str = "POST",
) -> ch.Webhook:
    """A webhook that is not signed yet."""
    kind = "application/json"
    if json_body is not None:
        body = json.dumps(json_body).encode()
    elif form is not None:
        body, kind = urllib.parse.urlencode(form).encode(), FORM
    url = RECEIPT_URL + (f"?{urllib.parse.urlencode(query)}" if query else "")
    headers = {"content-type": kind, "host": "kaskad.example.com"}
    return ch.Webhook(
        method=method, url=url, query=dict(query or {}), headers=headers, body=body, now=NOW
    )


def changed(original: ch.Webhook, body: bytes | None = None, **headers: str | None) -> ch.Webhook:
    """
    The same webhook with another body or other headers; None takes a header away. ``_`` in names
    stands for ``-``.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {
        name: value for name, value in {**original.headers, **named}.items() if value is not None
    }
    return ch.Webhook(
        method=original.method,
        url=original.url,
        query=original.query,
        headers=kept,
        body=original.body if body is None else body,
        now=original.now,
    )


def bare(value: Any) -> Any:
    """An outcome or receipt without its free text, for comparing."""
    if isinstance(value, ch.Receipt):
        failure = bare(value.failure) if value.failure else None
        return (value.state, value.provider_id, value.client_reference, value.at, failure)
    if isinstance(value, ch.Refused):
        return (value.reason, value.code, value.suppress_after, value.classes)
    if isinstance(value, ch.NotSent):
        return ("not sent", value.reason, value.retry_after_ms, value.code)
    if isinstance(value, ch.Unknown):
        return ("unknown", value.reason, value.code)
    return value


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


def storable(text: str, chars_max: int) -> bool:
    """Whether any database takes a string: valid UTF-8 without NUL, of bounded size."""
    return (
        len(text) <= chars_max
        and "\x00" not in text
        and text == text.encode("utf-8", "ignore").decode("utf-8")
    )


def check_outcome(outcome: ch.Outcome) -> None:
    """An outcome's texts are bounded and storable, its pause is a pause, its id is an id."""
    assert isinstance(outcome, ch.Accepted | ch.NotSent | ch.Refused | ch.Unknown)
    if isinstance(outcome, ch.Accepted):
        assert outcome.provider_id is None or (
            outcome.provider_id and storable(outcome.provider_id, 2048)
        )
        return
    assert storable(outcome.detail, 500)
    assert outcome.code is None or storable(outcome.code, 64)
    if isinstance(outcome, ch.NotSent) and outcome.retry_after_ms is not None:
        assert isinstance(outcome.retry_after_ms, int) and outcome.retry_after_ms >= 0


def check_said(item: Said) -> None:
    """Assert that the items of a webhook have the right types and can be stored."""
    assert item.at is None or (
        isinstance(item.at, float) and math.isfinite(item.at) and item.at > 0
    )
    if isinstance(item, ch.Receipt):
        assert isinstance(item.state, ch.Delivery | ch.Engagement)
        names = [name for name in (item.provider_id, item.client_reference) if name is not None]
        assert names and all(name and storable(name, 2048) for name in names)
        assert storable(item.detail, 500)
        if item.failure is not None:
            check_outcome(item.failure)
        return
    assert item.kind in address_kinds()
    assert item.value and storable(item.value, 2048)
    if isinstance(item, ch.Inbound):
        assert storable(item.text, 20_000) and storable(item.id, 2048)
        assert item.keyword in (None, "stop", "start")
        assert all(storable(id, 2048) for id in item.answers)
        return
    assert item.state in ("in", "out")


def states_of(item: Said) -> Iterator[str]:
    """The waitable states that one thing said by a webhook can bring about."""
    if isinstance(item, ch.Receipt):
        yield item.state.value
    elif isinstance(item, ch.Inbound):
        yield "replied"
        if item.clicked:
            yield "clicked"
