"""
Firebase Cloud Messaging, HTTP v1: one request per device, authorised by Google's OAuth.

Reference: Firebase, "FCM HTTP v1" (projects.messages) and "ErrorCode"; Google Identity, "OAuth 2.0
for Server to Server Applications". Quirk: what Android shows by itself (`display: system`) the app
hears of only while it is open, so with `display: app` the app gets data and shows it itself.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from adapters.mobile_push.content import (
    DeviceReports,
    aps_of,
    badge_of,
    collapse_of,
    extra_of,
    facts_of,
    fitting,
    is_promotion,
    present,
    sound_of,
)
from orchestrator import channels as ch
from orchestrator.channels.signing import jwt, rs256, rsa_key

R = ch.Reason
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 3_600
TTL_SECONDS_MAX = 28 * 86_400
QUOTA_PAUSE_MS = 60_000
NEEDED = ("client_email", "private_key", "project_id", "token_uri")
FCM_ERROR, BAD_REQUEST = "google.firebase.fcm.v1.FcmError", "google.rpc.BadRequest"
THIRD_PARTY = ("THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR")


class FcmSettings(ch.AdapterSettings):
    """
    ``service_account``: the JSON key of a service account with the role Firebase Cloud Messaging
    API Admin; ``display``: who shows the notification on Android, the system or the app;
    ``project``: if it is not the service account's own.
    """

    service_account: ch.SecretStr
    project: str | None = None
    display: Literal["system", "app"] = "system"
    base_url: ch.BaseUrl = "https://fcm.googleapis.com"

    @field_validator("service_account")
    @classmethod
    def _is_service_account(cls, value: ch.SecretStr) -> ch.SecretStr:
        service_account(value.get_secret_value())
        return value


class Fcm(DeviceReports[FcmSettings], ch.LoginAdapter[FcmSettings]):
    """FCM HTTP v1."""

    name: ClassVar[str] = "fcm"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="mobile_push",
        address=("fcm_device",),
        receipts=frozenset({"delivered", "clicked"}),
        parts=("title", "text"),
        echo=True,
        http2=True,
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = FcmSettings

    def __init__(self, settings: FcmSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._account = service_account(settings.service_account.get_secret_value())
        self._sign = rs256(rsa_key(self._account["private_key"]))
        project = settings.project or self._account["project_id"]
        self._url = f"{settings.base_url}/v1/projects/{project}/messages:send"

    def login(self, now: float) -> ch.HttpCall:
        account = self._account
        header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
        claims = {
            "iss": account["client_email"],
            "scope": SCOPE,
            "aud": account["token_uri"],
            "iat": int(now),
            "exp": int(now) + ASSERTION_SECONDS,
        }
        form = {"grant_type": GRANT, "assertion": jwt(header, claims, self._sign)}
        return ch.form_call(account["token_uri"], form)

    def access(self, reply: ch.HttpReply) -> ch.Access | ch.Outcome:
        body = reply.json()
        token, seconds = ch.member(body, "access_token"), ch.whole(ch.member(body, "expires_in"))
        if reply.status == 200 and isinstance(token, str) and token and seconds and seconds > 0:
            return ch.Access(token=token, seconds=seconds)
        code = ch.text_of(ch.member(body, "error"), 40) or str(reply.status)
        detail = ch.said(ch.member(body, "error_description"), self._secrets(reply))
        if 400 <= reply.status < 500 and reply.status not in (408, 429):
            about = f"{self._account['token_uri']} gives no access token"
            return ch.Refused(R.REFUSED_CONFIGURATION, code, f"{about}: {detail}")
        return ch.NotSent(R.NOT_TAKEN, reply.retry_after_ms, code, "no access token")

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        shown = self.settings.display == "system"
        text = fitting(message, lambda text: weight(message, text, shown))
        headers = {
            "Authorization": f"Bearer {message.access_token}",
            "Content-Type": "application/json",
        }
        body = ch.json_bytes({"message": fcm_message(message, text, shown)})
        return ch.HttpCall(method="POST", url=self._url, headers=headers, body=body)

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """Firebase's ``errorCode`` decides, then the fields it complains of, then the status."""
        body = reply.json()
        if reply.status == 200 and (name := ch.id_of(ch.member(body, "name"))) is not None:
            return ch.Accepted(name)
        error, status = ch.member(body, "error"), reply.status
        code = error_code(error)
        word = code or ch.code_of(ch.member(error, "status")) or str(status)
        detail = ch.said(ch.member(error, "message"), self._secrets(reply))
        match status, code:
            case 404, "UNREGISTERED":
                return ch.Refused(R.REFUSED_ADDRESS, code, detail)
            case 403, "SENDER_ID_MISMATCH":
                return this_device(word, detail)
            case 400, _:
                fields = bad_fields(error)
                of_token = "registration token" in detail.lower() and code == "INVALID_ARGUMENT"
                if any(one.startswith("message.token") for one in fields) or (
                    of_token and not fields
                ):
                    return this_device(word, detail)
                if code == "UNSPECIFIED_ERROR":
                    return ch.Unknown(R.SERVER_ERROR, word, detail)
            case 401, _ if code in THIRD_PARTY:  # Apple's key in Firebase: its devices alone
                return ch.Refused(R.REFUSED_CONFIGURATION, word, detail, personal=True)
            case 403 | 404, None if word in ("PERMISSION_DENIED", "NOT_FOUND"):
                return ch.Refused(R.REFUSED_CONFIGURATION, word, detail)
            case 429, _:
                pause_ms = reply.retry_after_ms
                pause_ms = QUOTA_PAUSE_MS if pause_ms is None else pause_ms
                return ch.NotSent(R.THROTTLED, pause_ms, word, detail)
        return ch.by_http_status(reply, word, detail)

    def token_ended(self, reply: ch.HttpReply) -> bool:
        code = error_code(ch.member(reply.json(), "error"))
        return reply.status == 401 and code not in THIRD_PARTY

    def _secrets(self, reply: ch.HttpReply) -> tuple[str, ...]:
        """What an error text must not repeat: the key, and the token of the request."""
        sent = reply.request.headers.get("Authorization", "") if reply.request else ""
        token = (sent.removeprefix("Bearer "),) if sent else ()
        return (self._account["private_key"], *token, *ch.secret_values(self.settings))


def this_device(code: str, detail: str) -> ch.Refused:
    """A token of another project or of none. Many in a row mean that our settings are wrong."""
    return ch.Refused(R.REFUSED_ADDRESS, code, detail, suppress_after=2, personal=True)


def fcm_message(message: ch.Outgoing, text: str, shown: bool) -> dict[str, Any]:
    """The ``message`` object: for Android with or without what the system shows, and for Apple."""
    title, collapse = str(message.content.get("title", "")), collapse_of(message)
    priority = extra_of(message, "android", "priority")
    priority = priority or ("normal" if is_promotion(message) else "high")
    ttl = min(message.ttl_seconds, TTL_SECONDS_MAX)
    data = {name: as_text(value) for name, value in data_of(message).items()}
    on_android = present(
        channel_id=extra_of(message, "android", "channel"),
        sound=sound_of(message),
        tag=collapse,
        notification_count=badge_of(message),
    )
    for_apple = {
        "apns-priority": "5" if is_promotion(message) else "10",
        "apns-expiration": str(int(message.now) + ttl),
        "apns-collapse-id": collapse,
    }
    words = {}
    if shown:
        image = extra_of(message, "image")
        words = {"notification": present(title=title, body=text, image=image)}
    else:
        data |= {"title": title, "text": text, **{k: str(v) for k, v in on_android.items()}}
    return {
        "token": message.address.value,
        **words,
        "data": data,
        "android": present(
            priority=priority.upper(),
            ttl=f"{ttl}s",
            collapse_key=collapse,
            notification=on_android if shown else None,
        ),
        "apns": {"headers": present(**for_apple), "payload": {"aps": aps_of(message, text)}},
    }


def data_of(message: ch.Outgoing) -> dict[str, Any]:
    """What the app gets beside the words."""
    return {**(extra_of(message, "data") or {}), **facts_of(message)}


def weight(message: ch.Outgoing, text: str, shown: bool) -> int:
    """The bytes of the payload on the platform where it is larger."""
    found = fcm_message(message, text, shown)
    data = len(ch.json_bytes(found["data"]))
    android = len(ch.json_bytes(found.get("notification", {})))
    return data + max(android, len(ch.json_bytes(found["apns"]["payload"])))


def as_text(value: Any) -> str:
    """A value of ``data``, which Firebase takes as texts only."""
    return value if isinstance(value, str) else json.dumps(value)


def error_code(error: Any) -> str | None:
    """The ``errorCode`` of Firebase's own details."""
    for one in ch.objects(ch.member(error, "details")):
        if str(one.get("@type", "")).endswith(FCM_ERROR):
            return ch.code_of(one.get("errorCode"))
    return None


def bad_fields(error: Any) -> list[str]:
    """The fields that a ``BadRequest`` complains of."""
    return [
        ch.text_of(found.get("field"), 200)
        for one in ch.objects(ch.member(error, "details"))
        if str(one.get("@type", "")).endswith(BAD_REQUEST)
        for found in ch.objects(one.get("fieldViolations"))
    ]


def service_account(text: str) -> dict[str, str]:
    """The JSON key of a service account. Raises ``ValueError``, without any of the text."""
    form = "must be the JSON key of a service account, as in ${file:/run/secrets/fcm.json}"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{form}; this is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError(f"{form}; this is no JSON object")
    if found.get("type") != "service_account":
        raise ValueError(f'{form}; its `type` is not "service_account"')
    for name in NEEDED:
        if not isinstance(found.get(name), str) or not found[name].strip():
            raise ValueError(f"{form}; it has no `{name}`")
    if not found["token_uri"].startswith(("https://", "http://")):
        raise ValueError(f"{form}; its `token_uri` is not a URL")
    try:
        rsa_key(found["private_key"])
    except ValueError as error:
        raise ValueError(f"{form}; its `private_key` {error}") from None
    return {name: value for name, value in found.items() if isinstance(value, str)}
