"""
Any system of your own as a channel: a POST signed as Standard Webhooks 1.0 say; receipts come back signed the same way.

Reference: Standard Webhooks 1.0.
Quirk: every 2xx means "taken": the receiver is yours, and has nothing else to say. `webhook-id` is the same for a repeat of
the same try, so the receiver can tell it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import field_validator

from orchestrator import channels as ch

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "failed": ch.Delivery.FAILED,
    "expired": ch.Delivery.EXPIRED,
    "read": ch.Engagement.READ,
    "clicked": ch.Engagement.CLICKED,
    "replied": ch.Engagement.REPLIED,
}


class WebhookSettings(ch.Settings):
    """``url`` takes the messages; ``secret`` (``whsec_…``) signs them, and the receipts."""

    url: str
    secret: ch.SecretStr

    @field_validator("secret")
    @classmethod
    def is_secret(cls, value: ch.SecretStr) -> ch.SecretStr:
        text = value.get_secret_value()
        try:
            if text.startswith(PREFIX) and len(base64.b64decode(text[len(PREFIX) :], validate=True)) >= 16:
                return value
        except binascii.Error:
            pass
        raise ValueError("must be whsec_ and at least 16 random bytes in base64")


class SignedWebhook(ch.HttpAdapter[WebhookSettings]):
    name: ClassVar[str] = "webhook"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="*",
        address=ch.KINDS,
        receipts=frozenset({"sent", "delivered", "read", "clicked", "replied"}),
        parts=(),
        echo=True,
        failure_receipts=True,
        idempotent_seconds=ch.hours(24),
    )
    settings_type: ClassVar[type[ch.Settings]] = WebhookSettings

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        body = json.dumps(
            {
                "type": "message.send",
                "timestamp": datetime.fromtimestamp(message.now, UTC).isoformat().replace("+00:00", "Z"),
                "data": {
                    "message_id": message.message_id,
                    "reference": message.client_reference,
                    "to": {"kind": message.address.kind, "value": message.address.value},
                    "class": message.klass,
                    "topic": message.topic,
                    "locale": message.locale,
                    "ttl_seconds": message.ttl_seconds,
                    "content": dict(message.content),
                },
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode("utf-8", "replace")
        timestamp = int(message.now)
        headers = {
            "content-type": "application/json",
            "webhook-id": message.idempotency_key,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": self._sign(message.idempotency_key, timestamp, body),
        }
        return ch.HttpCall(method="POST", url=self.settings.url, headers=headers, body=body)

    def _sign(self, id: str, timestamp: int, body: bytes) -> str:
        key = base64.b64decode(self.settings.secret.get_secret_value()[len(PREFIX) :])
        digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
        return "v1," + base64.b64encode(digest).decode()

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        if 200 <= reply.status < 300:
            body = reply.json()
            id = body.get("id") if isinstance(body, dict) else None
            return ch.Accepted(name_of(id))
        return ch.by_http_status(reply)

    def verify(self, hook: ch.Webhook) -> None:
        id, given = hook.headers.get("webhook-id", ""), hook.headers.get("webhook-timestamp", "")
        if not given.isdigit() or abs(int(given[:15]) - hook.now) > TOLERANCE_SECONDS:
            raise ch.Forged("the time is missing, or too far off")
        expected = self._sign(id, int(given), hook.body)
        signatures = hook.headers.get("webhook-signature", "").split()
        if not any(ch.same(signature, expected) for signature in signatures):
            raise ch.Forged("the signature does not match")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        found: Any = hook.json()
        data = found.get("data", found) if isinstance(found, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("state"), str):
            return
        state = STATES.get(data["state"])
        reference, id = name_of(data.get("reference")), name_of(data.get("id"))
        if state is None or not (reference or id):
            return
        failed = state in (ch.Delivery.FAILED, ch.Delivery.EXPIRED)
        yield ch.Receipt(
            state=state,
            client_reference=reference,
            provider_id=id,
            failure=ch.Refused(ch.Reason.REFUSED_RECIPIENT, data["state"]) if failed else None,
        )


def name_of(value: Any) -> str | None:
    """An id or reference that can be kept: printable text of at most 512 characters."""
    return value if isinstance(value, str) and 0 < len(value) <= 512 and value.isprintable() else None
