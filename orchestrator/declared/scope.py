"""The names that the expressions of a declaration may use, and their values."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from orchestrator import channels as ch
from orchestrator.channels.kinds import PARTS
from orchestrator.render.data import plain

TEXT_CHARS_MAX = 100_000
REQUEST_NAMES = (
    *("to", *PARTS, "sender", "reference", "message_id", "idempotency_key", "class", "topic"),
    *("locale", "ttl_seconds", "receipt_url", "unsubscribe_url", "now"),
)
ANSWER_NAMES = ("status", "headers", "body", "text")
SIGNED_NAMES = ("item", "body", "text")
RECEIPT_NAMES = (*SIGNED_NAMES, "headers", "query")


def of_message(message: ch.Outgoing, sender: str | None) -> dict[str, Any]:
    """What a request is made of: the address, the rendered parts, and what is known besides."""
    address = message.address
    to: dict[str, Any] = {"kind": address.kind, "value": address.value, **dict(address.keys)}
    phone = ch.e164(address.value) if address.kind == ch.PHONE.name else None
    if phone is not None:
        to |= {"e164": phone, "digits": phone[1:]}
    found = {
        **{name: plain(part) for name, part in message.content.items() if name in PARTS},
        "to": to,
        "reference": message.client_reference,
        "message_id": message.message_id,
        "idempotency_key": message.idempotency_key,
        "class": message.message_class,
        "topic": message.topic,
        "locale": message.locale,
        "ttl_seconds": message.ttl_seconds,
        "receipt_url": message.receipt_url,
        "now": int(message.now),
    }
    if message.unsubscribe_url is not None:
        found["unsubscribe_url"] = message.unsubscribe_url
    return found if sender is None else {**found, "sender": sender}


def of_answer(reply: ch.HttpReply) -> dict[str, Any]:
    """The status, the headers by lower-case names, and the body parsed and as text."""
    return {
        "status": reply.status,
        "headers": dict(reply.headers),
        "body": body_of(reply.json(), reply.headers, reply.body),
        "text": decoded(reply.body),
    }


def of_webhook(hook: ch.Webhook, body_signed: bool) -> dict[str, Any]:
    """
    The same of a webhook, with its query; ``item`` is the body, or the query without one. Where a
    signature covers the body alone, anyone could have written the rest, so there is none of it.
    """
    body = body_of(hook.json(), hook.headers, hook.body)
    signed = {"body": body, "text": decoded(hook.body), "item": body}
    if body_signed:
        return signed
    query = dict(hook.query)
    item = body if isinstance(body, dict) else query
    return {**signed, "headers": dict(hook.headers), "query": query, "item": item}


def body_of(parsed: Any, headers: Mapping[str, str], body: bytes) -> Any:
    """A JSON body, or the fields of a form; null for anything else."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != ch.FORM:
        return parsed
    try:
        return dict(urllib.parse.parse_qsl(body.decode("utf-8"), True, max_num_fields=1_000))
    except ValueError:
        return None


def decoded(body: bytes) -> str:
    return body[:TEXT_CHARS_MAX].decode("utf-8", "replace")
