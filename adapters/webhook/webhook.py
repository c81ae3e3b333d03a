"""
Any system of your own as a channel: a POST signed as Standard Webhooks 1.0 say; receipts come back
signed the same way.

Out: ``{"type": "message.send", "timestamp", "data": {"message_id", "reference", "to": {"kind",
"value", "keys"?}, "class", "topic", "locale", "ttl_seconds", "content": {part: …}}}`` with the
headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``. ``webhook-id`` is the same
whenever the same try is repeated: the receiver must take it only once.

Back, to this provider's receipt URL: ``{"reference" or "id", "state", "at"?, "reason"?}``, itself
or as ``data``; ``state`` is one of ``STATES``, ``at`` an ISO 8601 time or Unix seconds, ``reason``
(of a failure) one of ``REASONS``.

Reference: Standard Webhooks 1.0, "Signature scheme" and "Webhook headers".
Quirk: every 2xx means "taken": the receiver is yours, and a good status is all that is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import field_validator

from orchestrator import channels as ch

R = ch.Reason
TOLERANCE_SECONDS = 300
SIGNATURES_MAX = 16

STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "failed": ch.Delivery.FAILED,
    "expired": ch.Delivery.EXPIRED,
    "read": ch.Engagement.READ,
    "clicked": ch.Engagement.CLICKED,
    "replied": ch.Engagement.REPLIED,
}
REASONS: dict[str, R] = {
    "address": R.REFUSED_ADDRESS,
    "recipient": R.REFUSED_RECIPIENT,
    "opted_out": R.REFUSED_OPTED_OUT,
    "content": R.REFUSED_CONTENT,
}
"""
Why a message failed: the address is dead (it is marked), this person cannot be reached, said no, or
the content.
"""


class WebhookSettings(ch.AdapterSettings):
    """
    ``url`` takes the messages. ``secret`` (``whsec_`` and base64, as Standard Webhooks has it)
    signs them and the receipts; it may be a list while it is changed: the first signs, each of
    them verifies.
    """

    url: str
    secret: ch.Secrets

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = value.isascii() and value.isprintable() and " " not in value and not parts.fragment
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or parts.username is not None
            or not plain
        ):
            raise ValueError(
                "must be a URL such as https://hooks.example.com/kaskad, without a login and a"
                " fragment"
            )
        return value

    @field_validator("secret")
    @classmethod
    def _is_secret(cls, value: ch.Secrets) -> ch.Secrets:
        for secret in ch.secrets_of(value):
            ch.webhook_key(secret)
        return value


class SignedWebhook(ch.HttpAdapter[WebhookSettings]):
    """A system of the operator's own, on any channel."""

    name: ClassVar[str] = "webhook"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="*",
        receipts=frozenset({"sent", "delivered", "read", "clicked", "replied"}),
        parts=(),
        echo=True,
        failure_receipts=True,
        idempotent_seconds=ch.hours(24),
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = WebhookSettings

    def __init__(self, settings: WebhookSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._keys = tuple(ch.webhook_key(secret) for secret in ch.secrets_of(settings.secret))

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One signed POST with the rendered content unchanged."""
        to: dict[str, Any] = {"kind": message.address.kind, "value": message.address.value}
        if message.address.keys:
            to["keys"] = dict(message.address.keys)
        data = {
            "message_id": message.message_id,
            "reference": message.client_reference,
            "to": to,
            "class": message.message_class,
            "topic": message.topic,
            "locale": message.locale,
            "ttl_seconds": message.ttl_seconds,
            "content": dict(message.content),
        }
        at = datetime.fromtimestamp(message.now, UTC).isoformat().replace("+00:00", "Z")
        body = ch.json_bytes({"type": "message.send", "timestamp": at, "data": data})
        timestamp = str(int(message.now))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.idempotency_key,
            "webhook-timestamp": timestamp,
            "webhook-signature": ch.webhook_signature(
                self._keys[0], message.idempotency_key, timestamp, body
            ),
        }
        return ch.HttpCall(method="POST", url=self.settings.url, headers=headers, body=body)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """
        Any 2xx is accepted, with its ``id`` if there is one; anything else is judged by its status.
        """
        body = reply.json()
        if 200 <= reply.status < 300:
            return ch.Accepted(ch.id_of(ch.member(body, "id")))
        return ch.by_http_status(
            reply, detail=ch.said(ch.member(body, "error"), ch.secret_values(self.settings))
        )

    def verify(self, hook: ch.Webhook) -> None:
        """
        Check the signature over id, time and body, and that the time is within five minutes of
        ours.
        """
        id, given = hook.headers.get("webhook-id", ""), hook.headers.get("webhook-timestamp", "")
        at = ch.unix_seconds(given)
        if at is None or abs(at - hook.now) > TOLERANCE_SECONDS:
            raise ch.Forged("webhook-timestamp is missing, or more than five minutes off")
        expected = [ch.webhook_signature(key, id, given, hook.body) for key in self._keys]
        for candidate in hook.headers.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX]:
            if ch.matches(candidate, *expected):
                return
        raise ch.Forged("webhook-signature does not fit webhook-id, webhook-timestamp and the body")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """One receipt; none for an unknown state or without a message's name."""
        body = hook.json()
        data = body["data"] if isinstance(ch.member(body, "data"), dict) else body
        word = ch.member(data, "state")
        state = STATES.get(word) if isinstance(word, str) else None
        reference, id = ch.id_of(ch.member(data, "reference")), ch.id_of(ch.member(data, "id"))
        if state is None or (reference is None and id is None):
            return
        at, reason = ch.member(data, "at"), ch.member(data, "reason")
        failed = state in (ch.Delivery.FAILED, ch.Delivery.EXPIRED)
        why = (
            REASONS.get(reason, R.REFUSED_RECIPIENT)
            if isinstance(reason, str)
            else R.REFUSED_RECIPIENT
        )
        yield ch.Receipt(
            state=state,
            client_reference=reference,
            provider_id=id,
            at=ch.unix_seconds(at) or ch.iso_seconds(at),
            failure=ch.Refused(why, state.value) if failed else None,
        )
