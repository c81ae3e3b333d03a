"""
Web push: an encrypted payload to the push service that the browser named (RFC 8030, 8291), signed by VAPID (RFC 8292).

Reference: RFC 8030 "Generic Event Delivery Using HTTP Push".
Quirk: 201 says "stored", not "delivered", and no push service ever says more. What was delivered and clicked, our own
service worker reports (kaskad-sw.js); where it says nothing, nothing is known.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from pydantic import field_validator

from adapters.web_push.encryption import PLAINTEXT_BYTES_MAX, encrypt, private_key_from, public_point
from orchestrator import channels as ch

JWT_SECONDS = 12 * 3600
TTL_SECONDS_MAX = 30 * 86_400
URGENCY = {"otp": "high", "transactional": "high", "service": "normal", "promotional": "low"}
EVENTS: dict[str, ch.Delivery | ch.Engagement] = {
    "delivered": ch.Delivery.DELIVERED,
    "clicked": ch.Engagement.CLICKED,
    "dismissed": ch.Engagement.DISMISSED,
}
BAD_KEYS_ERRNO = 110


class WebPushSettings(ch.Settings):
    """``private_key``: PEM, P-256; ``subject``: a mailto: or https: contact; ``ttl``: an upper limit in seconds."""

    private_key: ch.SecretStr
    subject: str
    ttl: int | None = None
    urgency: Literal["very-low", "low", "normal", "high"] | None = None

    @field_validator("private_key")
    @classmethod
    def is_p256(cls, value: ch.SecretStr) -> ch.SecretStr:
        """Refuse anything but a PEM private key on P-256, without repeating it."""
        load_key(value.get_secret_value())
        return value

    @field_validator("subject")
    @classmethod
    def is_contact(cls, value: str) -> str:
        if not value.startswith(("mailto:", "https://")):
            raise ValueError("must be a contact such as mailto:ops@example.com or https://example.com")
        return value


class WebPush(ch.HttpAdapter[WebPushSettings]):
    name: ClassVar[str] = "web_push"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="web_push",
        address=("web_push",),
        receipts=frozenset({"delivered", "clicked"}),
        parts=("title", "text"),
        optional_parts=("yaml",),
        echo=True,
        signed=True,
    )
    settings_type: ClassVar[type[ch.Settings]] = WebPushSettings

    def __init__(self, settings: WebPushSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._key = load_key(settings.private_key.get_secret_value())
        self._point = encode(public_point(self._key.public_key()))
        self._tokens: dict[str, tuple[float, str]] = {}

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        keys = dict(message.address.keys)
        payload = self._payload(message)
        ephemeral, salt = private_key_from(message.entropy[:48]), message.entropy[48:64]
        try:
            body = encrypt(payload, decode(keys["p256dh"]), decode(keys["auth"]), ephemeral, salt)
        except (KeyError, ValueError) as error:
            refused = ch.Refused(ch.Reason.REFUSED_ADDRESS, "bad_keys", "the subscription's keys are unusable")
            raise ch.Unsendable(refused) from error
        structure = message.content.get("yaml") or {}
        ttl = message.ttl_seconds if self.settings.ttl is None else min(message.ttl_seconds, self.settings.ttl)
        headers = {
            "TTL": str(min(ttl, TTL_SECONDS_MAX)),
            "Urgency": self.settings.urgency or URGENCY.get(message.klass, "normal"),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._authorization(message.address.value, message.now),
        }
        if structure.get("tag"):
            headers["Topic"] = encode(hashlib.sha256(str(structure["tag"]).encode("utf-8", "replace")).digest())[:32]
        return ch.HttpCall(method="POST", url=message.address.value, headers=headers, body=body, guarded=True)

    def _payload(self, message: ch.Outgoing) -> bytes:
        """What the service worker gets. One that is too large is the content's fault."""
        payload: dict[str, Any] = {
            "mid": message.message_id,
            "rt": message.receipt_token,
            "report": message.receipt_url,
            "title": message.content["title"],
            "text": message.content["text"],
            **(message.content.get("yaml") or {}),
        }
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(text) > PLAINTEXT_BYTES_MAX:
            detail = f"the payload has {len(text)} bytes, at most {PLAINTEXT_BYTES_MAX} fit"
            raise ch.Unsendable(ch.Refused(ch.Reason.REFUSED_CONTENT, "too_large", detail))
        return text

    def _authorization(self, endpoint: str, now: float) -> str:
        """The VAPID header of a push service; one signature serves it for half of its life."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        signed_at, header = self._tokens.get(audience, (0.0, ""))
        if not header or not signed_at <= now < signed_at + JWT_SECONDS / 2:
            header = f"vapid t={self._jwt(audience, now)}, k={self._point}"
            self._tokens[audience] = (now, header)
        return header

    def _jwt(self, audience: str, now: float) -> str:
        claims = {"aud": audience, "exp": int(now) + JWT_SECONDS, "sub": self.settings.subject}
        parts = [
            encode(json.dumps(part, separators=(",", ":")).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims)
        ]
        signature = self._key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return ".".join([*parts, encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        match reply.status:
            case 200 | 201 | 202:
                return ch.Accepted(reply.headers.get("location"))
            case 404 | 410:
                return ch.Refused(ch.Reason.REFUSED_ADDRESS, str(reply.status), "the subscription is gone")
            case 400 if errno(reply) == BAD_KEYS_ERRNO:
                return ch.Refused(ch.Reason.REFUSED_ADDRESS, "400/110", "the subscription's keys are unusable")
        return ch.by_http_status(reply)

    def verify(self, hook: ch.Webhook) -> None:
        """The token itself is checked by whoever knows the keys it was signed with; here only that there is one."""
        report = hook.json()
        if not isinstance(report, dict) or not isinstance(report.get("rt"), str) or not report["rt"]:
            raise ch.Forged("a report without its token")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        report = hook.json()
        if not isinstance(report, dict):
            return
        state = EVENTS.get(report["ev"]) if isinstance(report.get("ev"), str) else None
        token = report.get("rt")
        if (
            state is not None
            and isinstance(token, str)
            and 0 < len(token) <= 512
            and token.isascii()
            and token.isprintable()
        ):
            yield ch.Receipt(state=state, client_reference=token)


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key. Raises ``ValueError`` that says nothing of it."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, InvalidSignature):
        raise ValueError("must be an unencrypted PEM private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("must be a key on P-256 (prime256v1)")
    return key


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def errno(reply: ch.HttpReply) -> Any:
    """Mozilla's own number in an error's body."""
    body = reply.json()
    return body.get("errno") if isinstance(body, dict) else None
