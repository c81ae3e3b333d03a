"""
Web push: an encrypted payload to the browser's push service (RFC 8030, 8291), signed by VAPID (RFC
8292).

Reference: RFC 8030 "Generic Event Delivery Using HTTP Push"; Mozilla autopush "Error codes" for
``errno``; WNS "Push notification service request and response headers" for ``X-WNS-Status``. Quirk:
201 means "stored", not "delivered", and push services send no receipts. Deliveries and clicks are
reported by our own service worker (kaskad-sw.js), or not at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from adapters.web_push.encryption import (
    PLAINTEXT_BYTES_MAX,
    POINT_BYTES,
    UNCOMPRESSED,
    encrypt,
    private_key_from,
    public_point,
)
from orchestrator import channels as ch
from orchestrator.channels.signing import base64url, es256, jwt, p256_key

R = ch.Reason
JWT_SECONDS = 12 * 3600
RENEW_SECONDS = JWT_SECONDS // 2
AUDIENCES_MAX = 256
TTL_SECONDS_MAX = 30 * 86_400
LOCATION_CHARS_MAX = 2048
TOPIC_CHARS = 32
DEFAULT_PORTS = {"https": 443, "http": 80}
URGENCY = {"otp": "high", "transactional": "high", "service": "normal", "promotional": "low"}
SHOWN = ("url", "icon", "image", "actions", "tag")
"""
What ``web_push.yaml`` may add to the payload; nothing in it can take the place of our own keys.
"""

BAD_KEYS_ERRNO = 110
OTHER_KEY = "VapidPkHashMismatch"
OUR_FAULTS = frozenset({"BadJwtToken", "BadAuthorizationHeader"})
"""Apple's reasons for a 403 that no subscription can cause."""


class WebPushSettings(ch.AdapterSettings):
    """
    ``private_key``: PEM (PKCS 8 or SEC 1) of the P-256 VAPID key; ``subject``: a ``mailto:`` or
    ``https:`` contact for the push services; ``ttl``: an upper limit in seconds; ``urgency``: for
    all messages (default: by their class).
    """

    private_key: ch.SecretStr
    subject: str
    ttl: int | None = Field(default=None, ge=0)
    urgency: Literal["very-low", "low", "normal", "high"] | None = None

    @field_validator("private_key")
    @classmethod
    def _is_p256(cls, value: ch.SecretStr) -> ch.SecretStr:
        p256_key(value.get_secret_value())
        return value

    @field_validator("subject")
    @classmethod
    def _is_contact(cls, value: str) -> str:
        scheme, _, rest = value.partition(":")
        contact = (scheme == "mailto" and "@" in rest) or (scheme == "https" and rest.strip("/"))
        if not contact or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(
                "must be a contact such as mailto:ops@example.com or https://example.com"
            )
        return value


class WebPush(ch.HttpAdapter[WebPushSettings]):
    """
    Web push with VAPID.

    A subscription belongs to the key it was made with. One whose ``vapid_key_id`` is another public
    key (base64url) is refused here: a push service would answer 403, which looks like a
    configuration that is wrong for everybody.
    """

    name: ClassVar[str] = "web_push"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="web_push",
        address=("web_push",),
        receipts=frozenset({"delivered", "clicked"}),
        parts=("title", "text"),
        echo=True,
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = WebPushSettings

    def __init__(self, settings: WebPushSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._key = p256_key(settings.private_key.get_secret_value())
        self.public_key = base64url(public_point(self._key.public_key()))
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """
        One encrypted POST to the subscription's endpoint. The ephemeral key and the salt come from
        ``entropy``.
        """
        endpoint, keys = message.address.value, dict(message.address.keys)
        audience = audience_of(endpoint)
        if audience is None:
            raise unsendable(
                R.REFUSED_ADDRESS, "bad_endpoint", "the subscription's endpoint is not a URL"
            )
        if other_key(keys.get("vapid_key_id", ""), self.public_key):
            raise unsendable(
                R.REFUSED_RECIPIENT, "other_key", "the subscription was made with another VAPID key"
            )
        payload = payload_of(message)
        ephemeral, salt = private_key_from(message.entropy[:48]), message.entropy[48:64]
        try:
            body = encrypt(payload, decode(keys["p256dh"]), decode(keys["auth"]), ephemeral, salt)
        except (KeyError, ValueError) as error:
            raise unsendable(
                R.REFUSED_ADDRESS, "bad_keys", "the subscription's keys are unusable"
            ) from error
        ttl = (
            message.ttl_seconds
            if self.settings.ttl is None
            else min(message.ttl_seconds, self.settings.ttl)
        )
        headers = {
            "TTL": str(min(max(ttl, 0), TTL_SECONDS_MAX)),
            "Urgency": self.settings.urgency or URGENCY.get(message.message_class, "normal"),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._authorization(audience, message.now),
        }
        tag = ch.member(message.content.get("yaml"), "tag")
        if tag:
            headers["Topic"] = topic_of(str(tag))
        return ch.HttpCall(method="POST", url=endpoint, headers=headers, body=body, guarded=True)

    def _authorization(self, audience: str, now: float) -> str:
        """
        The VAPID header for a push service; one signature serves it for half of its life (RFC 8292
        section 2).
        """
        signed_at, header = self._tokens.get(audience, (0.0, ""))
        if not header or not signed_at <= now < signed_at + RENEW_SECONDS:
            header = f"vapid t={self._jwt(audience, now)}, k={self.public_key}"
            self._tokens[audience] = (now, header)
            while len(self._tokens) > AUDIENCES_MAX:
                self._tokens.popitem(last=False)
        return header

    def _jwt(self, audience: str, now: float) -> str:
        claims = {"aud": audience, "exp": int(now) + JWT_SECONDS, "sub": self.settings.subject}
        return jwt({"typ": "JWT", "alg": "ES256"}, claims, es256(self._key))

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """
        200 to 202: taken. 404 and 410: the subscription is gone. 401 and 403: the subscription was
        made with another key, unless every subscription is refused so.

        Apple says the same with 400 and ``VapidPkHashMismatch``; its ``BadJwtToken`` is ours.
        """
        body, detail = reply.json(), ""
        word = ch.member(body, "reason")
        for name in ("message", "reason"):
            detail = detail or ch.said(ch.member(body, name), ch.secret_values(self.settings))
        match reply.status:
            case 200 | 201 | 202:
                return ch.Accepted(location_of(reply))
            case 404 | 410:
                return ch.Refused(
                    R.REFUSED_ADDRESS, str(reply.status), detail or "the subscription is gone"
                )
            case 400 if ch.whole(ch.member(body, "errno")) == BAD_KEYS_ERRNO:
                return ch.Refused(
                    R.REFUSED_ADDRESS, "400/110", detail or "the subscription's keys are unusable"
                )
            case 401 | 403 if isinstance(word, str) and word in OUR_FAULTS:
                return ch.Refused(R.REFUSED_CONFIGURATION, str(reply.status), detail)
            case 400 | 401 | 403 if reply.status != 400 or word == OTHER_KEY:
                return ch.Refused(
                    R.REFUSED_ADDRESS,
                    str(reply.status),
                    detail or "the subscription was made with another key",
                    suppress_after=2,
                    personal=True,
                )
            case 406 if reply.headers.get("x-wns-status", "").lower() == "channelthrottled":
                return ch.NotSent(R.THROTTLED, reply.retry_after_ms, "406", detail)
        return ch.by_http_status(reply, detail=detail)

    def verify(self, hook: ch.Webhook) -> None:
        ch.verify_device_report(hook)

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        return ch.device_receipts(hook)


def payload_of(message: ch.Outgoing) -> bytes:
    """
    The JSON for the service worker. Raises ``Unsendable`` (content) without a title, or if it is
    too large.

    Each action gets an id (its own ``action``, else its index), because browsers hide actions
    without one.
    """
    content, extra = message.content, message.content.get("yaml")
    if not content.get("title"):
        raise unsendable(R.REFUSED_CONTENT, "no_title", "a notification needs a title")
    payload: dict[str, Any] = {
        "mid": message.message_id,
        "rt": message.receipt_token,
        "report": message.receipt_url,
        "title": content["title"],
        "text": content.get("text", ""),
    }
    payload |= {
        name: ch.member(extra, name) for name in SHOWN if ch.member(extra, name) is not None
    }
    if "actions" in payload:
        actions = enumerate(ch.objects(payload["actions"]))
        payload["actions"] = [
            {**action, "action": str(action.get("action") or place)} for place, action in actions
        ]
    raw = ch.json_bytes(payload)
    if len(raw) > PLAINTEXT_BYTES_MAX:
        detail = (
            f"the payload has {len(raw)} bytes, at most {PLAINTEXT_BYTES_MAX} fit; shorten the text"
            " or the links"
        )
        raise unsendable(R.REFUSED_CONTENT, "too_large", detail)
    return raw


def unsendable(reason: R, code: str, detail: str) -> ch.Unsendable:
    """A refusal before anything is sent."""
    return ch.Unsendable(ch.Refused(reason, code, detail))


def audience_of(endpoint: str) -> str | None:
    """The origin of an endpoint as in RFC 6454 (no default port); None if it is no http(s) URL."""
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint or "\\" in endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host:
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (
        "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    )


def other_key(key_id: str, own: str) -> bool:
    """
    Whether a subscription's key id is a VAPID public key other than ours; other ids are ignored.
    """
    try:
        point = decode(key_id)
    except ValueError:
        return False
    return len(point) == POINT_BYTES and point[0] == UNCOMPRESSED and base64url(point) != own


def topic_of(tag: str) -> str:
    """
    The ``Topic`` for a notification's tag: an undelivered message with the same one is replaced
    (RFC 8030 5.4).

    The header is not encrypted, so it is a hash: 32 characters of base64url.
    """
    return base64url(hashlib.sha256(tag.encode("utf-8", "replace")).digest())[:TOPIC_CHARS]


def location_of(reply: ch.HttpReply) -> str | None:
    """The message's URL at the push service, if there is one."""
    location = reply.headers.get("location", "")
    fits = 0 < len(location) <= LOCATION_CHARS_MAX and location.isascii() and location.isprintable()
    return location if fits else None


def decode(text: str) -> bytes:
    """
    The bytes of base64url, padded or not (some libraries hand over plain base64). Raises
    ``ValueError``.
    """
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
