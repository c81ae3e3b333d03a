"""
The wire examples that an adapter brings to the conformance suite: what stands on the wire, and what
it means.

An adapter named ``pigeon_sms`` brings a module ``examples_pigeon_sms`` with one ``EXAMPLES =
Examples(…)``. The suite checks, besides the table, what authors forget: every status, strange
bodies, forged, replayed and hostile webhooks, leaked secrets, repeated requests.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator import channels as ch
from orchestrator.channels.registry import load_adapter

NOW = 1_795_600_000.0
REFERENCE = "kRf7Qy-reference_0123456789abcdef"
RECEIPT_URL = "https://kaskad.example.com/v1/receipts/main"


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
    says: tuple[ch.Report, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """
    One adapter's table.

    ``sign(hook, secret)`` returns the webhook as the provider would send it, signed with
    ``secret``; ``proof`` is the header (lower case) that carries the proof. ``signs_body`` is False
    where the proof is a login that knows nothing of the body. ``rotates`` names the setting that
    takes a list of secrets, ``next_secret`` is one of the provider's form. ``forged`` are webhooks
    that must be refused besides those that the suite makes up.

    ``status_decides``: the provider documents a good status alone as "taken", so the suite does not
    demand that an unreadable 2xx is Unknown. ``receipt_of(call)`` is the receipt the provider would
    send for a request: what an adapter with ``echo`` must find its reference in. ``elsewhere`` are
    declared states that no webhook of the provider reports. ``replay_seconds``: a webhook that is
    that old is refused, because its signature has a time in it. ``secret_in_url``: the provider
    takes a secret nowhere but in the request's URL.

    ``adapter`` is the name it is registered under; ``kind`` its class, where it is not registered.
    Webhooks without ``sign`` are of a provider that proves nothing: they must be refused unless the
    operator sets ``allow_unsigned``.
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
    next_secret: str = "the next secret"
    forged: tuple[ch.Webhook, ...] = ()
    status_decides: bool = False
    receipt_of: Callable[[ch.HttpCall], ch.Webhook] | None = None
    elsewhere: frozenset[str] = frozenset()
    replay_seconds: float | None = None
    secret_in_url: bool = False
    kind: type[ch.Adapter[Any]] | None = None

    @property
    def adapter_type(self) -> type[ch.Adapter[Any]]:
        """The adapter's class. Raises ``KeyError`` where nothing has registered its name."""
        return self.kind or load_adapter(self.adapter)

    def build(self, **changed: Any) -> ch.Adapter[Any]:
        """The adapter with the example's settings."""
        kind = self.adapter_type
        return kind(kind.settings_type(**{**self.settings, **changed}), "main")

    @cached_property
    def built(self) -> ch.Adapter[Any]:
        """The adapter with the example's settings, made once."""
        return self.build()

    def http(self) -> ch.HttpAdapter[Any]:
        """The adapter, where it speaks HTTP."""
        adapter = self.build()
        if not isinstance(adapter, ch.HttpAdapter):
            raise TypeError(f"{self.adapter} is no HttpAdapter; it has no requests and replies")
        return adapter

    def signed(self, hook: ch.Webhook, secret: str | None = None) -> ch.Webhook:
        """The webhook as the provider sends it."""
        return self.sign(hook, self.secret if secret is None else secret) if self.sign else hook


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
        body, kind = urllib.parse.urlencode(form).encode(), ch.FORM
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
        evidence=original.evidence,
    )
