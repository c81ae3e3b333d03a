"""
A stand-in for Infobip's Viber business messages: ``POST /viber/2/messages``, delivery and seen
reports, replies, clicks.

Reference: Infobip API, "Viber business messages v2", "Response status and error codes". Quirk kept:
a good HTTP status says nothing; every message in the answer has a status of its own, and a
``messageId`` that was used before is rejected with status 23.
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item, put
from orchestrator.sandbox.script import Planned, canonical
from orchestrator.sandbox.standin import (
    Common,
    ItemResult,
    RefusedRequest,
    StandIn,
    as_json,
    is_web_url,
    json_post,
    read_json,
    same_secret,
)

IDS_KEPT = 100_000
TYPES = ("TEXT", "IMAGE", "VIDEO", "FILE", "LIST", "CAROUSEL", "OTP_TEMPLATE", "TEMPLATE")
LABELS = ("PROMOTIONAL", "TRANSACTIONAL")
GROUPS = {1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}
STATUSES = {
    "PENDING_ACCEPTED": (1, 26, "Message sent to next instance"),
    "PENDING_ENROUTE": (1, 7, "Message sent to next instance"),
    "DELIVERED_TO_HANDSET": (3, 5, "Message delivered to handset"),
    "UNDELIVERABLE_NOT_DELIVERED": (2, 9, "Message sent not delivered"),
    "EXPIRED_EXPIRED": (4, 15, "Message expired"),
    "REJECTED_NETWORK": (5, 6, "Network is forbidden"),
    "REJECTED_DND": (5, 10, "Destination is on do-not-disturb list"),
    "REJECTED_NOT_ENOUGH_CREDITS": (5, 12, "Not enough credits"),
    "REJECTED_SENDER": (5, 13, "Sender is not registered"),
    "REJECTED_DESTINATION": (5, 14, "Destination is on the account's blocklist"),
    "REJECTED_FLOODING_FILTER": (5, 20, "Too many messages to this destination"),
    "REJECTED_SYSTEM_ERROR": (5, 21, "System error"),
    "REJECTED_DUPLICATE_MESSAGE_ID": (5, 23, "Duplicated messageId"),
    "REJECTED_INVALID_DESTINATION": (5, 52, "Invalid destination address"),
}
ERRORS = {
    "NO_ERROR": 0,
    "EC_UNKNOWN_USER": 7002,
    "EC_BLOCKED_USER": 7003,
    "EC_NO_SESSION": 7010,
    "TOO_MANY_REQUESTS": 7017,
    "BLOCKED_CONTENT": 7027,
    "FREQUENCY_CAPPING": 7032,
    "MARKETING_OPT_OUT": 7033,
    "EC_UNSUPPORTED_DEVICE": 7201,
    "EC_DUPLICATE_REQUEST": 7280,
}
HTTP_ERRORS = {
    "E400": (
        400,
        "Bad request",
        "Check the request against the API definition and fix what the violations name.",
    ),
    "E401": (401, "Unauthorized", "Check the API key in the Authorization header."),
    "E403": (403, "Forbidden", "Check that the API key may use this service."),
    "E429": (429, "Too many requests", "Wait and send again."),
    "E500": (500, "Internal server error", "Try again later."),
}


class Infobip(StandIn):
    """Viber business messages, addressed by phone number."""

    name = "infobip"
    channel = "viber"
    paths = ("/viber/2/messages",)
    usual_refusal = "EC_UNKNOWN_USER"
    blocked_code = "EC_BLOCKED_USER"
    throttle_code = "E429"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        key = f"App {self.common.accounts.infobip_api_key}"
        if not same_secret(request.headers.get("Authorization"), key):
            raise RefusedRequest(failure("E401"), "E401")
        body = read_json(raw)
        wrong = list(violations(body))
        if wrong:
            raise RefusedRequest(failure("E400", wrong), "E400")
        tracking = body.get("options", {}).get("tracking", {})
        return [
            self._item(message, destination, tracking)
            for message in body["messages"]
            for destination in message["destinations"]
        ]

    def objection(self, provider: str, item: Item) -> str | None:
        key = (provider, item.provider_id)
        if key in self._ids:
            return "REJECTED_DUPLICATE_MESSAGE_ID"
        blocked = super().objection(provider, item)
        if blocked is None:
            put(self._ids, key, None, IDS_KEPT)
        return blocked

    def respond(self, request: web.Request, results: Sequence[ItemResult]) -> web.Response:
        whole = next((result.code for result in results if result.code in HTTP_ERRORS), None)
        if whole is not None:
            return failure(whole)
        bulk = self.common.new_id()
        return as_json(200, {"bulkId": bulk, "messages": [entry_of(result) for result in results]})

    def refused(self, code: str, address: str = "") -> web.Response:
        return failure(code)

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        hooks, state = entry.item.hooks, planned.state
        if state == "read":
            url, result = hooks["seen"], self._seen(entry)
        elif state in ("delivered", "failed", "expired") or (
            state == "sent" and hooks["intermediate"]
        ):
            url, result = hooks["delivery"], self._report(entry, planned)
        else:
            return None
        return self._post(url, {"results": [result]}) if url else None

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        entry = entry or self.common.inbox.last(provider)
        url = self.callback(provider, entry.item.hooks["delivery"] if entry else None)
        message = {"type": "TEXT", "text": text}
        if entry and entry.item.address == address and entry.item.hooks["tracking_data"]:
            message["trackingData"] = entry.item.hooks["tracking_data"]
        result = {
            "sender": address.lstrip("+"),
            "to": entry.item.content["from"] if entry else "Sandbox",
            "integrationType": "VIBER",
            "receivedAt": moment(),
            "messageId": self.common.new_id(),
            "message": message,
            "price": {"pricePerMessage": 0.0, "currency": "EUR"},
        }
        return self._post(url, {"results": [result], "messageCount": 1, "pendingMessageCount": 0})

    def _item(
        self, message: dict[str, Any], destination: dict[str, Any], tracking: dict[str, Any]
    ) -> Item:
        content = message["content"]
        webhooks, options = message.get("webhooks", {}), message.get("options", {})
        shown = {
            "text": content.get("text", ""),
            "type": content["type"],
            "from": message["sender"],
            "label": options.get("label"),
        }
        if "button" in content:
            button = content["button"]
            shown["buttons"] = [{"title": button["title"], "url": button["action"]}]
        if "mediaUrl" in content:
            shown["image"] = content["mediaUrl"]
        delivery = webhooks.get("delivery", {})
        return Item(
            address=canonical(destination["to"]),
            provider_id=destination.get("messageId") or self.common.new_id(),
            reference=destination.get("messageId") or webhooks.get("callbackData"),
            content=shown,
            hooks={
                "delivery": delivery.get("url"),
                "intermediate": delivery.get("intermediateReport", False),
                "seen": webhooks.get("seen", {}).get("url"),
                "callback_data": webhooks.get("callbackData"),
                "tracking_data": options.get("trackingData"),
                "tracking": tracking.get("trackingUrl") if tracking.get("trackClicks") else None,
            },
        )

    def _report(self, entry: InboxEntry, planned: Planned) -> dict[str, Any]:
        names = {
            "sent": "PENDING_ENROUTE",
            "delivered": "DELIVERED_TO_HANDSET",
            "expired": "EXPIRED_EXPIRED",
        }
        status, error = names.get(planned.state, "UNDELIVERABLE_NOT_DELIVERED"), "NO_ERROR"
        if planned.state == "failed":
            status, error = split_code(planned.detail or "EC_UNSUPPORTED_DEVICE")
        return {
            "bulkId": "",
            "messageId": entry.item.provider_id,
            "to": entry.item.address.lstrip("+"),
            "sender": entry.item.content["from"],
            "sentAt": moment(entry.at),
            "doneAt": moment(),
            "messageCount": 1,
            "mccMnc": "25501",
            "callbackData": entry.item.hooks["callback_data"],
            "price": {"pricePerMessage": 0.02, "currency": "EUR"},
            "status": status_body(status),
            "error": error_body(error),
        }

    def _seen(self, entry: InboxEntry) -> dict[str, Any]:
        return {
            "messageId": entry.item.provider_id,
            "from": entry.item.address.lstrip("+"),
            "to": entry.item.content["from"],
            "sentAt": moment(entry.at),
            "seenAt": moment(),
        }

    def clicked(self, entry: InboxEntry) -> Post | None:
        """A click on a link that Infobip shortened is reported; the sender's own link is opened."""
        url = entry.item.hooks["tracking"]
        if not url:
            return super().clicked(entry)
        buttons = entry.item.content.get("buttons") or [{"url": ""}]
        return self._post(
            url,
            {
                "notificationType": "CLICKED",
                "recipient": entry.item.address.lstrip("+"),
                "url": buttons[0]["url"],
                "messageId": entry.item.provider_id,
                "callbackData": entry.item.hooks["callback_data"],
            },
        )

    def _post(self, url: str, body: Any) -> Post:
        accounts, headers = self.common.accounts, {}
        if accounts.infobip_webhook_username is not None:
            login = f"{accounts.infobip_webhook_username}:{accounts.infobip_webhook_password or ''}"
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        return json_post(url, body, headers)


def violations(body: Any) -> Iterator[tuple[str, str]]:
    """The faults of a request, as property and complaint."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages:
        yield "messages", "must not be empty"
        return
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        if not isinstance(message, dict):
            yield at, "must be an object"
            continue
        sender = message.get("sender")
        if not isinstance(sender, str) or not sender:
            yield f"{at}.sender", "must not be blank"
        yield from destination_violations(message.get("destinations"), f"{at}.destinations")
        yield from content_violations(message.get("content"), f"{at}.content")
        yield from option_violations(message, at)
    options = body.get("options", {})
    if not isinstance(options, dict) or not isinstance(options.get("tracking", {}), dict):
        yield "options", "must be an object"


def destination_violations(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list) or not value:
        yield at, "must not be empty"
        return
    for index, destination in enumerate(value):
        to = destination.get("to") if isinstance(destination, dict) else None
        if not isinstance(to, str) or not to.lstrip("+").isdigit() or not 7 <= len(to) <= 64:
            yield f"{at}[{index}].to", "must be a phone number in international format"
        elif not is_text(destination.get("messageId", ""), 200):
            yield f"{at}[{index}].messageId", "size must be between 0 and 200"


def content_violations(content: Any, at: str) -> Iterator[tuple[str, str]]:
    if not isinstance(content, dict) or content.get("type") not in TYPES:
        yield f"{at}.type", f"must be one of {', '.join(TYPES)}"
        return
    text, button = content.get("text", ""), content.get("button")
    if not isinstance(text, str) or len(text) > 1_000 or (content["type"] == "TEXT" and not text):
        yield f"{at}.text", "size must be between 1 and 1000"
    if content["type"] == "IMAGE" and not is_web_url(content.get("mediaUrl")):
        yield f"{at}.mediaUrl", "must be a valid URL"
    if button is not None:
        title = button.get("title") if isinstance(button, dict) else None
        if not isinstance(title, str) or not 1 <= len(title) <= 30:
            yield f"{at}.button.title", "size must be between 1 and 30"
        elif not is_web_url(button.get("action"), 1_000):
            yield f"{at}.button.action", "must be a valid URL"


def option_violations(message: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
    options, webhooks = message.get("options", {}), message.get("webhooks", {})
    if not isinstance(options, dict) or options.get("label", LABELS[0]) not in LABELS:
        yield f"{at}.options.label", "must be TRANSACTIONAL or PROMOTIONAL"
    if not isinstance(webhooks, dict):
        yield f"{at}.webhooks", "must be an object"
        return
    for name in ("delivery", "seen"):
        hook = webhooks.get(name)
        if hook is not None and not (isinstance(hook, dict) and is_web_url(hook.get("url"))):
            yield f"{at}.webhooks.{name}.url", "must be a valid URL"
    if not is_text(webhooks.get("callbackData", ""), 4_000):
        yield f"{at}.webhooks.callbackData", "size must be between 0 and 4000"


def is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def failure(code: str, wrong: Sequence[tuple[str, str]] = ()) -> web.Response:
    """Infobip's error envelope for a request as a whole."""
    status, description, action = HTTP_ERRORS[code]
    named = [{"property": name, "violation": complaint} for name, complaint in wrong]
    body = {
        "errorCode": code,
        "description": description,
        "action": action,
        "violations": named,
        "resources": [],
    }
    return as_json(status, body)


def entry_of(result: ItemResult) -> dict[str, Any]:
    """One message of an answer."""
    entry: dict[str, Any] = {
        "messageId": result.item.provider_id,
        "status": status_body("PENDING_ACCEPTED"),
        "destination": result.item.address.lstrip("+"),
    }
    if result.code is not None:
        status, error = split_code(result.code)
        entry["status"] = status_body(status)
        if error != "NO_ERROR":
            entry["error"] = error_body(error)
    return entry


def split_code(code: str) -> tuple[str, str]:
    """A status name and an error name for a code, by name or number (unknown: an error's)."""
    by_number = {str(number): name for name, number in ERRORS.items()}
    by_number |= {str(number): name for name, (_, number, _) in STATUSES.items()}
    name = by_number.get(code, code)
    return (name, "NO_ERROR") if name in STATUSES else ("UNDELIVERABLE_NOT_DELIVERED", name)


def status_body(name: str) -> dict[str, Any]:
    group, number, description = STATUSES[name]
    return {
        "groupId": group,
        "groupName": GROUPS[group],
        "id": number,
        "name": name,
        "description": description,
    }


def error_body(name: str) -> dict[str, Any]:
    number = ERRORS.get(name, int(name) if name.isdigit() else 7000)
    group = (0, "OK") if number == 0 else (2, "USER_ERRORS")
    words = name.removeprefix("EC_").replace("_", " ").capitalize()
    return {
        "groupId": group[0],
        "groupName": group[1],
        "id": number,
        "name": name,
        "description": words,
        "permanent": number in (7002, 7003, 7201),
    }


def moment(at: float | None = None) -> str:
    """Infobip's time format, in UTC."""
    seconds = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(seconds))
