"""
Stand-ins for Firebase (FCM HTTP v1, with Google's token endpoint) and for Apple (APNs), and for the
apps behind them, which report deliveries and clicks to the ``report`` of what they got.

Reference: Firebase, "FCM HTTP v1" and "ErrorCode"; Apple, "Handling notification responses from
APNs". APNs is served over HTTP/2 with TLS, by a gateway in front of this (``gateway``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item, put
from orchestrator.sandbox.push import report_of
from orchestrator.sandbox.script import Planned
from orchestrator.sandbox.standin import Common, RefusedRequest, StandIn, as_json, read_json

ACCOUNT_FILE = Path(__file__).parent / "static" / "service_account.json"
DEVICES_KEPT = 100_000
PAYLOAD_BYTES_MAX = 4_096
TOKEN_SECONDS = 3_600
UPDATE_SECONDS = 20 * 60
SKEW_SECONDS = 300
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
INSTEAD = "X-Sandbox-Instead"
"""The header by which the gateway learns that it shall go away in place of an answer."""


@dataclass(slots=True)
class Device:
    """One phone with the app; ``gone``: the app was removed."""

    token: str
    gone: bool = False


class AppPush(StandIn):
    """What both have in common: devices, and the app that reports."""

    channel = "mobile_push"
    platform: ClassVar[str]

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._devices: OrderedDict[str, Device] = OrderedDict()

    def register(self) -> dict[str, str]:
        """A new device, as the app would send it to the shop's backend."""
        seed = self.common.seed
        name = self.common.new_id() if seed is None else f"{seed}|{self.name}|{len(self._devices)}"
        token = hashlib.sha256(name.encode()).hexdigest()
        put(self._devices, token, Device(token), DEVICES_KEPT)
        return {"platform": self.platform, "token": token}

    def remove(self, token: str) -> bool:
        """The app is removed from a device. False if there is no such device."""
        device = self._devices.get(token)
        if device is None:
            return False
        device.gone = True
        return True

    def receipt(self, entry: InboxEntry, planned: Planned) -> Post | None:
        return report_of(entry.item.hooks["payload"], planned, self.common.url)

    def _item(self, token: str, shown: dict[str, Any], facts: dict[str, Any], id: str) -> Item:
        content = {key: value for key, value in shown.items() if value not in (None, "")}
        content["text"] = str(shown.get("text") or "")
        return Item(
            address=token,
            provider_id=id,
            reference=facts.get("mid"),
            content=content | {"payload": facts},
            hooks={"payload": facts},
        )


class FcmStandIn(AppPush):
    """Firebase at ``/v1/projects/{project}/messages:send``, Google's tokens at ``/fcm/token``."""

    name = "fcm"
    platform = "fcm"
    paths = ("/v1/projects/{project}/messages:send",)
    usual_refusal = "UNREGISTERED"
    throttle_code = "QUOTA_EXCEEDED"
    project = "sandbox-shop"
    client_email = "push@sandbox-shop.iam.gserviceaccount.com"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._tokens: OrderedDict[str, float] = OrderedDict()

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        yield from super().routes()
        yield web.post("/fcm/token", self._token)

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        pem = self.service_account()["private_key"].encode()
        key = load_pem_private_key(pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def service_account(self) -> dict[str, str]:
        """The JSON key that the console of Firebase would give: invented, fixed and public."""
        found: dict[str, str] = json.loads(self.account_text())
        return found | {"token_uri": f"{self.common.url}/fcm/token"}

    @staticmethod
    def account_text() -> str:
        """The same as a file's text."""
        return ACCOUNT_FILE.read_text("utf-8")

    def end_tokens(self) -> None:
        """Forget every access token that was given, as when a key is rotated."""
        self._tokens.clear()

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            if form.get("grant_type") != GRANT:
                raise ValueError("unsupported grant_type")
            header, claims, signed, signature = opened(str(form.get("assertion", "")))
            if header.get("alg") != "RS256" or claims.get("iss") != self.client_email:
                raise ValueError("Invalid JWT: unknown issuer")
            check_rs256(self._key, signed, signature)
            now = self.common.now()
            issued, ends = float(claims["iat"]), float(claims["exp"])
            timely = issued <= now + SKEW_SECONDS and now < ends <= issued + TOKEN_SECONDS
            if not timely or not str(claims.get("aud")).endswith("/fcm/token"):
                raise ValueError("Invalid JWT: check your iat, exp and aud values")
        except (ValueError, KeyError, TypeError, InvalidSignature) as error:
            said = {"error": "invalid_grant", "error_description": str(error) or "bad signature"}
            return as_json(400, said)
        token = f"ya29.{self.common.new_id()}"
        put(self._tokens, token, now + TOKEN_SECONDS, 1_000)
        found = {"access_token": token, "expires_in": TOKEN_SECONDS - 1, "token_type": "Bearer"}
        return as_json(200, found)

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._tokens.get(bearer, 0) <= self.common.now():
            raise RefusedRequest(failure(401, "UNAUTHENTICATED", "no valid access token"), 401)
        if request.match_info["project"] != self.project:
            raise RefusedRequest(failure(403, "PERMISSION_DENIED", "another project"), 403)
        body = read_json(raw)
        message = body.get("message") if isinstance(body, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("token"), str):
            raise RefusedRequest(failure(400, "INVALID_ARGUMENT", "message.token is missing"), 400)
        token, data = message["token"], message.get("data", {})
        words = message.get("notification", {})
        device = self._devices.get(token)
        if device is None:
            text = "The registration token is not a valid FCM registration token"
            raise RefusedRequest(self._refusal(400, "INVALID_ARGUMENT", text), 400, token)
        if device.gone:
            raise RefusedRequest(self.refused("UNREGISTERED"), "UNREGISTERED", token)
        if not all(isinstance(one, str) for one in data.values()):
            raise RefusedRequest(failure(400, "INVALID_ARGUMENT", "data holds texts"), 400, token)
        if len(json.dumps([words, data], ensure_ascii=False).encode()) > PAYLOAD_BYTES_MAX + 64:
            raise RefusedRequest(failure(400, "INVALID_ARGUMENT", "Message too big"), 400, token)
        shown = {
            "title": words.get("title", data.get("title")),
            "text": words.get("body", data.get("text")),
            "image": data.get("image"),
            "url": data.get("url"),
        }
        name = f"projects/{self.project}/messages/0:{self.common.new_id()}"
        return [self._item(token, shown, data, name)]

    def taken(self, item: Item) -> web.Response:
        return as_json(200, {"name": item.provider_id})

    def refused(self, code: str, address: str = "") -> web.Response:
        status = {"UNREGISTERED": 404, "SENDER_ID_MISMATCH": 403, "QUOTA_EXCEEDED": 429}
        status |= {"UNAVAILABLE": 503, "INTERNAL": 500, "THIRD_PARTY_AUTH_ERROR": 401}
        return self._refusal(status.get(code, 400), code, "Refused by the script")

    def _refusal(self, status: int, code: str, text: str) -> web.Response:
        words = {404: "NOT_FOUND", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}
        detail = {"@type": FCM_TYPE, "errorCode": code}
        return failure(status, words.get(status, code), text, detail)


class ApnsStandIn(AppPush):
    """Apple at ``/3/device/{token}``."""

    name = "apns"
    platform = "apns"
    paths = ("/3/device/{token}",)
    usual_refusal = "Unregistered"
    throttle_code = "TooManyRequests"
    key_id, team_id, topic = "SANDBOXKEY", "SANDBOXDEV", "com.example.shop"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._last: tuple[str, float] = ("", float("-inf"))

    def settings(self) -> dict[str, str]:
        """What the developer's console of Apple would give."""
        return {
            "key": pem_of(self.key),
            "key_id": self.key_id,
            "team_id": self.team_id,
            "topic": self.topic,
        }

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        token, headers = request.match_info["token"], request.headers
        self._authorise(headers.get("Authorization", ""))

        def need(right: object, code: str, status: int = 400) -> None:
            if not right:
                raise RefusedRequest(reason(status, code), code, token)

        need(headers.get("apns-topic"), "MissingTopic")
        need(headers.get("apns-topic") == self.topic, "TopicDisallowed")
        need(headers.get("apns-push-type") in ("alert", "background"), "InvalidPushType")
        need(headers.get("apns-priority", "10") in ("10", "5", "1"), "BadPriority")
        need(headers.get("apns-expiration", "0").isdigit(), "BadExpirationDate")
        need(len(headers.get("apns-collapse-id", "").encode()) <= 64, "BadCollapseId")
        id = headers.get("apns-id") or self.common.new_id()
        need(re.fullmatch(r"[0-9a-f-]{32,36}", id), "BadMessageId")
        body = read_json(raw)
        need(isinstance(body, dict) and isinstance(body.get("aps"), dict), "PayloadEmpty")
        need(len(raw) <= PAYLOAD_BYTES_MAX, "PayloadTooLarge", 413)
        device = self._devices.get(token)
        need(device is not None, "BadDeviceToken")
        need(device is not None and not device.gone, "Unregistered", 410)
        words = body["aps"].get("alert", {})
        shown = {"title": words.get("title"), "text": words.get("body")}
        shown |= {"image": body.get("image"), "url": body.get("url")}
        return [self._item(token, shown, body, id)]

    def taken(self, item: Item) -> web.Response:
        return web.Response(status=200, headers={"apns-id": item.provider_id})

    def refused(self, code: str, address: str = "") -> web.Response:
        status = {"Unregistered": 410, "ExpiredToken": 410, "TooManyRequests": 429}
        status |= {"InternalServerError": 500, "ServiceUnavailable": 503, "Shutdown": 503}
        status |= {"ExpiredProviderToken": 403, "InvalidProviderToken": 403, "Forbidden": 403}
        return reason(status.get(code, 400), code)

    def go_away(self, request: web.Request) -> web.Response:
        return web.Response(status=503, headers={INSTEAD: "go_away"})

    def _authorise(self, header: str) -> None:
        """Check the provider token as Apple does."""

        def refuse(code: str, status: int = 403) -> RefusedRequest:
            return RefusedRequest(reason(status, code), code)

        if not header.lower().startswith("bearer "):
            raise refuse("MissingProviderToken")
        token, now = header[7:], self.common.now()
        try:
            top, claims, signed, signature = opened(token)
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            raw = encode_dss_signature(r, s)
            self.key.public_key().verify(raw, signed, ec.ECDSA(hashes.SHA256()))
            issued = float(claims["iat"])
        except (ValueError, KeyError, TypeError, InvalidSignature) as error:
            raise refuse("InvalidProviderToken") from error
        ours = (top.get("kid"), claims.get("iss")) == (self.key_id, self.team_id)
        if not ours or issued > now + SKEW_SECONDS:
            raise refuse("InvalidProviderToken")
        if now > issued + TOKEN_SECONDS:
            raise refuse("ExpiredProviderToken")
        last, at = self._last
        if token != last:
            if last and now < at + UPDATE_SECONDS:
                raise refuse("TooManyProviderTokenUpdates", 429)
            self._last = (token, now)


def pem_of(key: Any) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature. Raises ``ValueError``."""
    head, body, signature = token.split(".")
    decode: Callable[[str], bytes] = lambda text: base64.urlsafe_b64decode(  # noqa: E731
        text + "=" * (-len(text) % 4)
    )
    header, claims = json.loads(decode(head)), json.loads(decode(body))
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("no JSON web token")
    return header, claims, f"{head}.{body}".encode(), decode(signature)


def check_rs256(key: rsa.RSAPrivateKey, signed: bytes, signature: bytes) -> None:
    """Raises ``InvalidSignature``."""
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def failure(status: int, word: str, text: str, *details: dict[str, Any]) -> web.Response:
    """Google's error body."""
    error = {"code": status, "message": text, "status": word, "details": list(details)}
    return as_json(status, {"error": error})


def reason(status: int, code: str) -> web.Response:
    """Apple's error body."""
    return as_json(status, {"reason": code})
