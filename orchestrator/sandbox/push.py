"""
A stand-in for a push service, and for the browser behind it.

``POST /_sandbox/push/subscribe`` gives a PushSubscription; messages are posted to its endpoint,
checked as a push service checks them, decrypted as a browser does, and handed to a pretend service
worker that reports to the payload's ``report``.

Reference: RFC 8030 (push), RFC 8292 (VAPID), Mozilla autopush, "Error codes" (the bodies are its).
Quirk kept: a push service cannot look inside. A message that cannot be decrypted is accepted all
the same, and only the browser drops it; it is recorded with ``undecryptable``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from orchestrator.sandbox import push_crypto as crypto
from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item, put
from orchestrator.sandbox.script import Planned
from orchestrator.sandbox.standin import (
    Common,
    RefusedRequest,
    StandIn,
    as_json,
    buttons_of,
    is_web_url,
    read_json,
)

BODY_BYTES_MAX = 4_096
TTL_SECONDS_MAX = 30 * 86_400
SUBSCRIPTIONS_KEPT = 100_000
TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
URGENCIES = ("very-low", "low", "normal", "high")
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    413: "Payload Too Large",
    429: "Too Many Requests",
}
ERRNOS = {400: 110, 401: 109, 403: 109, 404: 102, 410: 103, 413: 104, 429: 201}
EVENTS = {"delivered": "delivered", "clicked": "clicked", "dismissed": "dismissed"}


@dataclass(slots=True)
class Subscription:
    """One browser's subscription; ``key`` is the only sender's key it takes, None takes any."""

    endpoint: str
    keys: crypto.BrowserKeys
    key: bytes | None
    gone: bool = False


class Push(StandIn):
    """A push service at ``/push/{id}``."""

    name = "push"
    channel = "web_push"
    paths = ("/push/{id}",)
    usual_refusal = "410"
    throttle_code = "429"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._subscriptions: OrderedDict[str, Subscription] = OrderedDict()

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        yield from super().routes()
        yield web.delete("/push/{id}/m/{message}", self._withdraw)

    def subscribe(self, application_server_key: str | None = None) -> dict[str, Any]:
        """
        A new subscription, as ``PushSubscription.toJSON()`` returns it. Raises ValueError if the
        key is not a point of P-256 in base64url.
        """
        given = application_server_key
        key = None if given is None else crypto.checked_point(given)
        name = self._name()
        seed = hashlib.sha512(name.encode() + b"browser").digest()
        keys = crypto.BrowserKeys.of(1 + int.from_bytes(seed[:30], "big"), seed[48:])
        subscription = Subscription(f"{self.common.url}/push/{name}", keys, key)
        put(self._subscriptions, name, subscription, SUBSCRIPTIONS_KEPT)
        return {"endpoint": subscription.endpoint, "expirationTime": None, "keys": keys.public()}

    def _name(self) -> str:
        """The last part of an endpoint; with a seed, the same in every run."""
        if self.common.seed is None:
            return self.common.new_id()
        text = f"{self.common.seed}|push|{len(self._subscriptions)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def expire(self, endpoint: str) -> bool:
        """The browser unsubscribes. False if there is no such endpoint."""
        subscription = self._subscriptions.get(endpoint.rpartition("/")[2])
        if subscription is None or subscription.endpoint != endpoint:
            return False
        subscription.gone = True
        return True

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        subscription = self._subscriptions.get(request.match_info["id"])
        if subscription is None:
            raise RefusedRequest(failure(404, "Invalid URL endpoint"), 404)
        address = subscription.endpoint
        refuse = refuser(address)
        if subscription.gone:
            raise refuse(410, "Endpoint has expired", errno=106)
        ttl = request.headers.get("TTL", "")
        if not ttl.isdigit() or int(ttl) >= 2**31:
            raise refuse(400, "Missing or invalid TTL header", errno=112)
        if "Topic" in request.headers and not TOPIC.fullmatch(request.headers["Topic"]):
            raise refuse(400, "Invalid Topic header", errno=113)
        if (
            request.headers.getall("Urgency", ["normal"])[1:]
            or request.headers.get("Urgency", "normal") not in URGENCIES
        ):
            raise refuse(400, "Invalid Urgency header", errno=999)
        if len(raw) > BODY_BYTES_MAX:
            raise refuse(
                413, "This message is intended for a constrained device and is limited in size."
            )
        if raw and request.headers.get("Content-Encoding") != "aes128gcm":
            raise refuse(400, "Unknown Content-Encoding")
        self._authorise(request, subscription)
        stored = min(int(ttl), TTL_SECONDS_MAX)
        content, payload = open_message(subscription.keys, raw)
        content |= {"ttl": stored, "urgency": request.headers.get("Urgency", "normal")}
        content |= {"topic": request.headers["Topic"]} if "Topic" in request.headers else {}
        return [
            Item(
                address=address,
                provider_id=f"{address}/m/{self.common.new_id()}",
                reference=payload.get("mid"),
                content=content,
                hooks={"payload": payload, "ttl": stored},
            )
        ]

    def refused(self, code: str, address: str = "") -> web.Response:
        status = int(code) if code.isdigit() and 400 <= int(code) <= 599 else 400
        return failure(status, "Please slow down" if status == 429 else "Refused by the script")

    def taken(self, item: Item) -> web.Response:
        headers = {"Location": item.provider_id, "TTL": str(item.hooks["ttl"])}
        return web.Response(status=201, headers=headers)

    def receipt(self, entry: InboxEntry, planned: Planned) -> Post | None:
        return report_of(entry.item.hooks["payload"], planned, self.common.url)

    def raw_text(self, raw: bytes) -> str:
        return crypto.b64(raw)

    def _authorise(self, request: web.Request, subscription: Subscription) -> None:
        header = request.headers.get("Authorization")
        if header is None and subscription.key is None:
            return
        refuse = refuser(subscription.endpoint)
        try:
            key = crypto.check_vapid(header, origin=self.common.url, now=self.common.now())
        except crypto.BadVapid as error:
            raise refuse(401, f"VAPID authentication failed: {error}") from error
        if subscription.key is not None and key != subscription.key:
            raise refuse(403, "VAPID public key mismatch")

    async def _withdraw(self, request: web.Request) -> web.Response:
        """Messages are delivered at once, so there is none to withdraw."""
        return failure(404, "Message not found")


def report_of(payload: dict[str, Any], planned: Planned, origin: str) -> Post | None:
    """
    The report of a service worker or an app: JSON as text, so that a browser sends no preflight.
    """
    event = EVENTS.get(planned.state)
    if event is None or not is_web_url(payload.get("report")):
        return None
    body = json.dumps({"mid": payload.get("mid"), "rt": payload.get("rt"), "ev": event}).encode()
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Origin": origin}
    return Post(url=payload["report"], body=body, headers=headers, repeat=False)


def open_message(keys: crypto.BrowserKeys, raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shown content and the payload; a message that cannot be decrypted shows why."""
    if not raw:
        return {"text": ""}, {}
    try:
        plain = crypto.decrypt(keys, raw)
    except crypto.Undecryptable as error:
        return {"text": "", "undecryptable": str(error)}, {}
    payload = read_json(plain)
    if not isinstance(payload, dict):
        return {"text": plain.decode("utf-8", "replace")}, {}
    shown = {
        key: payload[key] for key in ("title", "url", "icon", "image", "tag") if payload.get(key)
    }
    buttons = buttons_of(payload.get("actions"), "title", "url")
    content = {"text": str(payload.get("text", "")), **shown, "payload": payload}
    return content | ({"buttons": buttons} if buttons else {}), payload


def refuser(address: str) -> Any:
    """Makes the refusals of one endpoint."""

    def refuse(status: int, message: str, errno: int | None = None) -> RefusedRequest:
        return RefusedRequest(failure(status, message, errno), status, address)

    return refuse


def failure(status: int, message: str, errno: int | None = None) -> web.Response:
    """The error body of Mozilla's push service."""
    body = {
        "code": status,
        "errno": errno or ERRNOS.get(status, 999),
        "error": TITLES.get(status, "Error"),
        "message": message,
        "more_info": "http://autopush.readthedocs.io/en/latest/http.html#error-codes",
    }
    return as_json(status, body)
