"""
Apple Push Notification service: one HTTP/2 request per device, authorised by a token we sign.

Reference: Apple, "Sending notification requests to APNs" and "Establishing a token-based connection
to APNs". Quirk: a token older than an hour is refused, and so is one that changes more often than
every twenty minutes. All processes sign the same token for the same forty minutes.
"""

from __future__ import annotations

import email.utils
import re
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints, field_validator

from adapters.mobile_push.content import (
    DeviceReports,
    aps_of,
    collapse_of,
    extra_of,
    facts_of,
    fitting,
    is_promotion,
)
from orchestrator import channels as ch
from orchestrator.channels.signing import es256, jwt, p256_key

R = ch.Reason
RENEW_SECONDS = 40 * 60
UPDATE_SECONDS_MIN = 20 * 60
SKEW_SECONDS = 5 * 60
TTL_SECONDS_MAX = 30 * 86_400
TOKEN = re.compile(r"[0-9A-Fa-f]{16,400}")
EXPIRED = "ExpiredProviderToken"
THIS_DEVICE = {"suppress_after": 2, "personal": True}
"""One such device has a token of another app; many in a row mean that our settings are wrong."""

Ten = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{10}$")]
Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,200}$")]


def table(make: Any, status: int, *reasons: str) -> dict[tuple[int, str], ch.Outcome]:
    return {(status, reason): make(reason) for reason in reasons}


def refusal(reason: R, **more: Any) -> Any:
    return lambda code: ch.Refused(reason, code, **more)


ANSWERS: dict[tuple[int, str], ch.Outcome] = (
    table(refusal(R.REFUSED_ADDRESS), 410, "Unregistered", "ExpiredToken")
    | table(
        refusal(R.REFUSED_ADDRESS, **THIS_DEVICE),
        400,
        *("BadDeviceToken", "DeviceTokenNotForTopic", "MissingDeviceToken"),
    )
    | table(
        refusal(R.REFUSED_CONTENT),
        400,
        *("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "BadPath"),
        *("PayloadEmpty", "InvalidPushType", "DuplicateHeaders"),
    )
    | table(refusal(R.REFUSED_CONTENT), 413, "PayloadTooLarge")
    | table(refusal(R.REFUSED_CONFIGURATION), 400, "BadTopic", "MissingTopic", "TopicDisallowed")
    | table(
        refusal(R.REFUSED_CONFIGURATION),
        403,
        *("BadCertificate", "BadCertificateEnvironment", "Forbidden", "InvalidProviderToken"),
        *("MissingProviderToken", "UnrelatedKeyIdInToken", "BadEnvironmentKeyIdInToken"),
    )
    | table(refusal(R.REFUSED_CONFIGURATION), 404, "BadPath")
    | table(refusal(R.REFUSED_CONFIGURATION), 405, "MethodNotAllowed")
    | table(refusal(R.REFUSED_CONFIGURATION), 429, "TooManyProviderTokenUpdates")
    | table(lambda code: ch.NotSent(R.NOT_TAKEN, None, code), 400, "IdleTimeout")
    | table(lambda code: ch.NotSent(R.NOT_TAKEN, None, code), 503, "ServiceUnavailable", "Shutdown")
)
"""By status and Apple's reason; the rest is decided by the status."""


class ApnsSettings(ch.AdapterSettings):
    """
    ``key``: the .p8 file's PEM; ``key_id`` and ``team_id``: ten characters each; ``topic``: the
    app's bundle id, or a list of them, the first for devices that name no ``app``. Builds from
    Xcode need ``base_url: https://api.sandbox.push.apple.com``. ``ca``: PEM of the only authorities
    to trust, for a stand-in.
    """

    key: ch.SecretStr
    key_id: Ten
    team_id: Ten
    topic: Topic | Annotated[tuple[Topic, ...], Field(min_length=1)]
    base_url: ch.BaseUrl = "https://api.push.apple.com"
    ca: str = ""

    @field_validator("key")
    @classmethod
    def _is_p256(cls, value: ch.SecretStr) -> ch.SecretStr:
        p256_key(value.get_secret_value())
        return value


class Apns(DeviceReports[ApnsSettings]):
    """APNs with token-based authorisation."""

    name: ClassVar[str] = "apns"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="mobile_push",
        address=("apns_device",),
        receipts=frozenset({"delivered", "clicked"}),
        parts=("title", "text"),
        echo=True,
        http2=True,
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = ApnsSettings

    def __init__(self, settings: ApnsSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._sign = es256(p256_key(settings.key.get_secret_value()))
        topic = settings.topic
        self._topics = (topic,) if isinstance(topic, str) else topic
        self._since, self._renewed_at = 0, 0.0
        self._token = (-1, "")

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """One POST to the device. Its ``apns-id`` is the same whenever the try is repeated."""
        device, app = message.address.value, dict(message.address.keys).get("app")
        if not TOKEN.fullmatch(device):
            refused = ch.Refused(R.REFUSED_ADDRESS, "bad_token", "a token of APNs is hexadecimal")
            raise ch.Unsendable(refused)
        if app is not None and app not in self._topics:
            detail = f"the device is of the app {app}, which is not among `topic`"
            raise ch.Unsendable(ch.Refused(R.REFUSED_RECIPIENT, "other_app", ch.said(detail)))
        headers = {
            "authorization": f"bearer {self._authorization(message.now)}",
            "apns-topic": app or self._topics[0],
            "apns-push-type": "alert",
            "apns-priority": "5" if is_promotion(message) else "10",
            "apns-expiration": str(int(message.now) + min(message.ttl_seconds, TTL_SECONDS_MAX)),
            "apns-id": as_uuid(message.idempotency_key),
        }
        if collapse := collapse_of(message):
            headers["apns-collapse-id"] = collapse
        text = fitting(message, lambda text: len(payload(message, text)))
        return ch.HttpCall(
            method="POST",
            url=f"{self.settings.base_url}/3/device/{device}",
            headers=headers,
            body=payload(message, text),
            http2_only=True,
            ca=self.settings.ca,
        )

    def _authorization(self, now: float) -> str:
        """The token of the forty minutes that ``now`` is in; one signature serves for all of it."""
        issued_at = int(now) - (int(now) - self._since) % RENEW_SECONDS
        if self._token[0] != issued_at:
            header = {"alg": "ES256", "kid": self.settings.key_id}
            claims = {"iss": self.settings.team_id, "iat": issued_at}
            self._token = (issued_at, jwt(header, claims, self._sign))
        return self._token[1]

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Apple's ``reason`` decides; every answer that is not 200 says that nothing was taken."""
        reason = ch.member(reply.json(), "reason")
        secrets = (self._token[1], *ch.secret_values(self.settings))
        code = ch.said(reason, tuple(one for one in secrets if one))
        if reply.status == 200:
            return ch.Accepted(ch.id_of(reply.headers.get("apns-id")))
        if (reply.status, code) == (403, EXPIRED):
            return self._expired(reply)
        found = ANSWERS.get((reply.status, code))
        if isinstance(found, ch.Refused) and reply.status == 403:
            return ch.Refused(found.reason, code, clocks(reply))
        return found or ch.by_http_status(reply, detail=code)

    def _expired(self, reply: ch.HttpReply) -> ch.Outcome:
        """
        Sign a new token: the request was not taken, and goes again. Twice within twenty minutes it
        is not the token's age, it is our clock.
        """
        sent = reply.request.headers.get("authorization") if reply.request is not None else None
        if sent in (None, f"bearer {self._token[1]}"):
            if reply.now < self._renewed_at + UPDATE_SECONDS_MIN:
                detail = clocks(reply) or "a new token is refused, too; see if our clock is right"
                return ch.Refused(R.REFUSED_CONFIGURATION, EXPIRED, detail)
            self._since, self._renewed_at = int(reply.now), reply.now
        return ch.NotSent(R.NOT_TAKEN, 0, EXPIRED)


def payload(message: ch.Outgoing, text: str) -> bytes:
    """The notification as JSON."""
    data = extra_of(message, "data") or {}
    return ch.json_bytes({**data, **facts_of(message), "aps": aps_of(message, text)})


def as_uuid(key: str) -> str:
    """32 hexadecimal digits in the form of a UUID."""
    return "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:32]))


def clocks(reply: ch.HttpReply) -> str:
    """How far our clock is from Apple's, if that may be why a token is refused."""
    try:
        theirs = email.utils.parsedate_to_datetime(reply.headers.get("date", "")[:64]).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return ""
    apart = round((reply.now - theirs) / 60)
    if abs(apart) * 60 < SKEW_SECONDS:
        return ""
    return f"our clock is {abs(apart)} minutes {'ahead of' if apart > 0 else 'behind'} Apple's"
