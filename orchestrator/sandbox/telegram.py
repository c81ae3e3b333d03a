"""
A stand-in for the Telegram Bot API: ``sendMessage``, ``sendPhoto``, ``setWebhook``, ``getMe``, and
updates with the webhook's secret.

Reference: Telegram Bot API, "Making requests", "sendMessage", "Update", "setWebhook". Quirks kept:
the token stands in the path, and a wrong one is a 401; nothing is ever reported as delivered; who
has blocked the bot is a 403; an update may be answered with a method call, which is ignored here.
"""

from __future__ import annotations

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
    json_post,
    read_json,
    same_secret,
)

TEXT_MAX, CAPTION_MAX, ANSWER_BYTES_MAX = 4_096, 1_024, 64
ERRORS: dict[str, tuple[int, str]] = {
    "unauthorized": (401, "Unauthorized"),
    "blocked": (403, "Forbidden: bot was blocked by the user"),
    "deactivated": (403, "Forbidden: user is deactivated"),
    "not_started": (403, "Forbidden: bot can't initiate conversation with a user"),
    "chat_not_found": (400, "Bad Request: chat not found"),
    "migrated": (400, "Bad Request: group chat was upgraded to a supergroup chat"),
    "too_long": (400, "Bad Request: message is too long"),
    "caption_too_long": (400, "Bad Request: message caption is too long"),
    "empty": (400, "Bad Request: message text is empty"),
    "photo": (400, "Bad Request: wrong HTTP URL specified"),
    "button": (400, "Bad Request: BUTTON_DATA_INVALID"),
    "webhook": (400, "Bad Request: bad webhook: an HTTPS URL must be provided for webhook"),
    "flood": (429, "Too Many Requests: retry after 3"),
}


class Telegram(StandIn):
    """Messages of a bot, addressed by the id of a private chat."""

    name = "telegram"
    channel = "telegram"
    paths = ("/bot{token}/sendMessage", "/bot{token}/sendPhoto")
    usual_refusal = "chat_not_found"
    blocked_code = "blocked"
    throttle_code = "flood"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._message = 0
        self._secrets: dict[str, str] = {}

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        yield from super().routes()
        yield web.post("/bot{token}/setWebhook", self.set_webhook)
        yield web.get("/bot{token}/getMe", self.get_me)

    def spelling(self, address: str) -> str:
        return address.strip()

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        self._authenticate(request)
        body = read_json(raw)
        body = body if isinstance(body, dict) else {}
        photo = request.path.endswith("/sendPhoto")
        chat = str(body.get("chat_id", ""))
        text = body.get("caption" if photo else "text", "")
        keyboard = (body.get("reply_markup") or {}).get("inline_keyboard", [])
        keys = [key for row in keyboard for key in row]
        if (problem := problem_of(photo, chat, text, body, keys)) is not None:
            raise RefusedRequest(failure(problem), problem, chat or None)
        self._message += 1
        content: dict[str, Any] = {"text": text}
        image = body.get("photo") or (body.get("link_preview_options") or {}).get("url")
        if image:
            content["image"] = image
        if keys:
            content["buttons"] = buttons_of(keys, "text", "url")
        answers = [key["callback_data"] for key in keys if "callback_data" in key]
        return [
            Item(
                address=chat,
                provider_id=f"{chat}/{self._message}",
                reference=None,
                content=content,
                hooks={"message_id": self._message, "answers": answers},
            )
        ]

    def taken(self, item: Item) -> web.Response:
        result = {**self._message_of(item.address, item.hooks["message_id"]), **item.content}
        return as_json(200, {"ok": True, "result": result})

    def refused(self, code: str, address: str = "") -> web.Response:
        return failure(code)

    def throttled(self, seconds: float) -> web.Response:
        """Telegram says in the body for how long; the shortest pause is a second."""
        return failure("flood", retry_after=max(1, round(seconds)))

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """Only a person who blocks the bot is reported."""
        if planned.state != "unsubscribed":
            return None
        return self._membership(entry.provider, entry.item.address, "kicked")

    def clicked(self, entry: InboxEntry) -> Post | None:
        """A button with an answer is pressed where there is one, else the link is opened."""
        if not entry.item.hooks["answers"]:
            return super().clicked(entry)
        chat, id = entry.item.address, entry.item.hooks["message_id"]
        pressed = {
            "id": self.common.new_id(),
            "from": person(chat),
            "message": self._message_of(chat, id),
            "chat_instance": chat,
            "data": entry.item.hooks["answers"][0],
        }
        return self._update(entry.provider, {"callback_query": pressed})

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        """A message; ``/block`` and ``/unblock`` do what they say."""
        if text in ("/block", "/unblock"):
            return self._membership(provider, address, "kicked" if text == "/block" else "member")
        self._message += 1
        said = {**self._message_of(address, self._message), "from": person(address), "text": text}
        return self._update(provider, {"message": said})

    async def set_webhook(self, request: web.Request) -> web.Response:
        """Keep a webhook's URL and its secret; an empty URL removes it."""
        try:
            self._authenticate(request)
        except RefusedRequest as refusal:
            return refusal.response
        provider = request.match_info.get("alias", self.name)
        body = read_json(await request.read())
        url = body.get("url") if isinstance(body, dict) else None
        if url == "":
            self.common.callbacks.pop(provider, None)
        elif is_web_url(url, 2_000):
            self.common.callbacks[provider] = url
            self._secrets[provider] = str(body.get("secret_token", ""))
        else:
            return failure("webhook")
        return as_json(200, {"ok": True, "result": True, "description": "Webhook was set"})

    async def get_me(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
        except RefusedRequest as refusal:
            return refusal.response
        accounts = self.common.accounts
        id = int(accounts.telegram_token.partition(":")[0])
        me = {"id": id, "is_bot": True, "first_name": "Shop", "username": accounts.telegram_bot}
        return as_json(200, {"ok": True, "result": me})

    def _authenticate(self, request: web.Request) -> None:
        if not same_secret(request.match_info["token"], self.common.accounts.telegram_token):
            raise RefusedRequest(failure("unauthorized"), "unauthorized")

    def _membership(self, provider: str, chat: str, status: str) -> Post:
        """The person blocks the bot, or lets it in again."""
        self.common.inbox.opt(provider, chat, status == "kicked")
        moved = {
            "chat": private(chat),
            "from": person(chat),
            "date": int(time.time()),
            "new_chat_member": {"status": status},
        }
        return self._update(provider, {"my_chat_member": moved})

    def _message_of(self, chat: str, id: int) -> dict[str, Any]:
        return {"message_id": id, "date": int(time.time()), "chat": private(chat)}

    def _update(self, provider: str, what: dict[str, Any]) -> Post:
        secret = self._secrets.get(provider, self.common.accounts.telegram_secret_token)
        number = int(self.common.new_id()[:8], 16)
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
        return json_post(self.callback(provider), {"update_id": number, **what}, headers)


def person(chat: str) -> dict[str, Any]:
    return {"id": int(chat), "is_bot": False, "first_name": "Sandbox", "language_code": "uk"}


def private(chat: str) -> dict[str, Any]:
    return {"id": int(chat), "type": "private", "first_name": "Sandbox"}


def problem_of(
    photo: bool, chat: str, text: Any, body: dict[str, Any], keys: list[Any]
) -> str | None:
    """The error for the first fault of a message; lengths are in UTF-16 units."""
    if not chat.isdigit():
        return "chat_not_found"
    if not isinstance(text, str) or (not text and not photo):
        return "empty"
    units = len(text.encode("utf-16-le", "replace")) // 2
    if units > (CAPTION_MAX if photo else TEXT_MAX):
        return "caption_too_long" if photo else "too_long"
    if photo and not is_web_url(body.get("photo")):
        return "photo"
    answers = [key.get("callback_data", "") for key in keys]
    return "button" if any(len(one.encode()) > ANSWER_BYTES_MAX for one in answers) else None


def failure(code: str, **parameters: Any) -> web.Response:
    """Telegram's error answer."""
    status, words = ERRORS.get(code, (400, f"Bad Request: {code}"))
    if "retry_after" in parameters:
        words = f"Too Many Requests: retry after {parameters['retry_after']}"
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": words}
    return as_json(status, {**body, "parameters": parameters} if parameters else body)
