"""
A stand-in for the Viber bot API: ``/pa/send_message``, ``/pa/set_webhook``,
``/pa/get_account_info`` and signed events.

Reference: Viber REST bot API, "Send message", "Webhooks", "Error codes". Quirks kept: every answer
is HTTP 200 and the body's ``status`` decides; message tokens are whole numbers beyond 2^53; without
a webhook nothing can be sent (status 10); somebody who unsubscribed is refused with 6.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item
from orchestrator.sandbox.script import Planned
from orchestrator.sandbox.standin import (
    Common,
    RefusedRequest,
    StandIn,
    as_json,
    buttons_of,
    is_web_url,
    read_json,
    same_secret,
)

MESSAGE_BYTES_MAX = 30 * 1024
HOSTNAME = "SN-CHAT-00_"
TYPES = ("text", "picture", "video", "file", "url", "contact", "location", "sticker", "rich_media")
NEEDED = {"text": "text", "picture": "media", "video": "media", "file": "media", "url": "media"}
ALL_EVENTS = ("delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started")
EVENTS = {
    "delivered": "delivered",
    "read": "seen",
    "failed": "failed",
    "unsubscribed": "unsubscribed",
}
STATUSES = {
    "0": "ok",
    "1": "invalidUrl",
    "2": "invalidAuthToken",
    "3": "badData",
    "4": "missingData",
    "5": "receiverNotRegistered",
    "6": "receiverNotSubscribed",
    "7": "publicAccountBlocked",
    "8": "publicAccountNotFound",
    "9": "publicAccountSuspended",
    "10": "webhookNotSet",
    "11": "receiverNoSuitableDevice",
    "12": "tooManyRequests",
    "13": "apiVersionNotSupported",
    "14": "incompatibleWithVersion",
    "15": "publicAccountNotAuthorized",
    "21": "unsupportedCountry",
    "23": "noFreeMessages",
    "24": "noBalance",
}


class ViberBotStandIn(StandIn):
    """Messages of a bot, addressed by the user id that the bot was given."""

    name = "viber_bot"
    channel = "viber"
    paths = ("/pa/send_message",)
    usual_refusal = "5"
    blocked_code = "6"
    throttle_code = "12"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._token = 0

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        yield from super().routes()
        yield web.post("/pa/set_webhook", self.set_webhook)
        yield web.post("/pa/get_account_info", self.account_info)

    def spelling(self, address: str) -> str:
        return address.strip()

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        body = read_json(raw)
        receiver = body.get("receiver") if isinstance(body, dict) else None
        provider = request.match_info.get("alias", self.name)
        status = self._unauthorised(request, body) or problem_of(body, raw)
        if status is None and provider not in self.common.callbacks:
            status = "10"
        if status is not None:
            raise RefusedRequest(
                answer(status), status, receiver if isinstance(receiver, str) else None
            )
        kind = body.get("type", "text")
        content = {
            "text": body.get("text") or body.get("alt_text") or "",
            "type": kind,
            "from": body["sender"]["name"],
        }
        if "media" in body:
            content["image" if kind == "picture" else "media"] = body["media"]
        keys = (body.get("keyboard") or body.get("rich_media") or {}).get("Buttons", [])
        if buttons := buttons_of(keys, "Text", "ActionBody"):
            content["buttons"] = buttons
        return [
            Item(
                address=body["receiver"],
                provider_id=str(self._next_token()),
                reference=body.get("tracking_data"),
                content=content,
            )
        ]

    def refused(self, code: str, address: str = "") -> web.Response:
        return answer(code)

    def taken(self, item: Item) -> web.Response:
        return answer("0", message_token=int(item.provider_id), billing_status=1)

    def throttled(self, seconds: float) -> web.Response:
        """Viber sends no Retry-After."""
        return answer(self.throttle_code)

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        name, url = EVENTS.get(planned.state), self.common.callbacks.get(entry.provider)
        if name is None or url is None:
            return None
        token = int(entry.item.provider_id)
        event: dict[str, Any] = {"user_id": entry.item.address}
        if name == "failed":
            event["desc"] = planned.detail or "The message could not be delivered"
        if name == "unsubscribed":
            self.common.inbox.opt(entry.provider, entry.item.address, True)
            token = self._next_token()
        return self._event(url, name, token, event)

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        """A message; ``/subscribe`` and ``/unsubscribe`` press the buttons of the same names."""
        url = self.callback(provider)
        if text == "/unsubscribe":
            self.common.inbox.opt(provider, address, True)
            return self._event(url, "unsubscribed", self._next_token(), {"user_id": address})
        user = {
            "id": address,
            "name": "Sandbox",
            "country": "UA",
            "language": "uk",
            "api_version": 10,
        }
        if text == "/subscribe":
            self.common.inbox.opt(provider, address, False)
            return self._event(url, "subscribed", self._next_token(), {"user": user})
        message: dict[str, Any] = {"type": "text", "text": text}
        if entry is not None and entry.item.address == address and entry.item.reference:
            message["tracking_data"] = entry.item.reference
        return self._event(url, "message", self._next_token(), {"sender": user, "message": message})

    async def set_webhook(self, request: web.Request) -> web.Response:
        """Keep a webhook's URL once it has answered Viber's first call; an empty URL removes it."""
        provider = request.match_info.get("alias", self.name)
        body = read_json(await request.read())
        status = self._unauthorised(request, body)
        if status is not None:
            return answer(status)
        url = body.get("url") if isinstance(body, dict) else None
        if url == "":
            self.common.callbacks.pop(provider, None)
            return answer("0", event_types=[])
        if not is_web_url(url, 2_000) or not await self.probe(url):
            return answer("1")
        self.common.callbacks[provider] = url
        return answer("0", event_types=body.get("event_types", list(ALL_EVENTS)))

    async def account_info(self, request: web.Request) -> web.Response:
        """The bot's account."""
        status = self._unauthorised(request, read_json(await request.read()))
        return answer(status or "0", **({} if status else {"id": "pa:1", "name": "Sandbox"}))

    async def probe(self, url: str) -> bool:
        """Viber's first call of a webhook, which has to be answered with 200."""
        result, _ = await self.common.courier.fetch(
            self._event(url, "webhook", self._next_token(), {})
        )
        return result == "200"

    def _unauthorised(self, request: web.Request, body: Any) -> str | None:
        given = request.headers.get("X-Viber-Auth-Token") or (
            body.get("auth_token") if isinstance(body, dict) else None
        )
        expected = self.common.accounts.viber_bot_token
        return None if same_secret(given, expected) else "2"

    def _next_token(self) -> int:
        """A number of nineteen digits that only grows, also over restarts."""
        self._token = max(self._token + 1, 4_000_000_000_000_000_000 + time.time_ns() // 1_000)
        return self._token

    def _event(self, url: str, name: str, token: int, more: dict[str, Any]) -> Post:
        event = {
            "event": name,
            "timestamp": int(time.time() * 1000),
            "chat_hostname": HOSTNAME,
            "message_token": token,
        }
        raw = json.dumps(event | more, ensure_ascii=False, separators=(",", ":")).encode()
        signature = hmac.new(
            self.common.accounts.viber_bot_token.encode(), raw, hashlib.sha256
        ).hexdigest()
        headers = {"Content-Type": "application/json", "X-Viber-Content-Signature": signature}
        return Post(url=url, body=raw, headers=headers)


def problem_of(body: Any, raw: bytes) -> str | None:
    """The status for the first fault of a message."""
    if (
        not isinstance(body, dict)
        or len(raw) > MESSAGE_BYTES_MAX
        or body.get("type", "text") not in TYPES
    ):
        return "3"
    kind, sender = body.get("type", "text"), body.get("sender")
    if not body.get("receiver") or not isinstance(sender, dict) or not sender.get("name"):
        return "4"
    if kind in NEEDED and not body.get(NEEDED[kind]):
        return "4"
    texts = (body["receiver"], sender["name"], body.get("text", ""), body.get("tracking_data", ""))
    if any(not isinstance(text, str) for text in texts) or len(sender["name"]) > 28:
        return "3"
    if len(body.get("text", "")) > 7_000 or len(body.get("tracking_data", "")) > 4_096:
        return "3"
    return "3" if kind != "text" and "media" in body and not is_web_url(body["media"]) else None


def answer(status: str, **more: Any) -> web.Response:
    """Viber's answer: HTTP 200 and a status of its own."""
    number = int(status) if status.isdigit() else 3
    words = STATUSES.get(status, "generalError")
    return as_json(
        200, {"status": number, "status_message": words, "chat_hostname": HOSTNAME, **more}
    )
