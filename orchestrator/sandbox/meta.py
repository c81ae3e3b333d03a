"""
A stand-in for the WhatsApp Cloud API: ``POST /{version}/{phone_number_id}/messages`` and signed
webhooks.

Reference: Meta, WhatsApp Business Platform, "Messages", "Error codes", "Webhooks". Quirks kept:
free text is refused with 131047 unless the person wrote within 24 hours; Meta escapes what is not
ASCII in its webhooks and signs those bytes; ``delivered`` may be skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse
from collections import OrderedDict
from typing import Any

from aiohttp import web

from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item, put
from orchestrator.sandbox.script import Planned, canonical
from orchestrator.sandbox.standin import (
    Common,
    RefusedRequest,
    StandIn,
    as_json,
    read_json,
    same_secret,
)

WINDOW_SECONDS = 24 * 3600
SESSIONS_KEPT = 100_000
PHONE = re.compile(r"\+?\d{7,15}")
BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
TYPES = (
    "text",
    "template",
    "image",
    "video",
    "document",
    "audio",
    "sticker",
    "location",
    "interactive",
    "reaction",
)
REFUSED_SPACE = re.compile(r"[\n\r\t]| {5}")
STATES = {"sent": "sent", "delivered": "delivered", "read": "read", "failed": "failed"}
ERRORS = {
    "0": (401, "AuthException"),
    "3": (500, "Application does not have the capability to make this API call"),
    "4": (400, "Application request limit reached"),
    "100": (400, "Invalid parameter"),
    "190": (401, "Invalid OAuth access token - Cannot parse access token"),
    "368": (403, "Temporarily blocked for policies violations"),
    "130429": (429, "Rate limit hit"),
    "130472": (400, "User's number is part of an experiment"),
    "131000": (500, "Something went wrong"),
    "131008": (400, "Required parameter is missing"),
    "131009": (400, "Parameter value is not valid"),
    "131016": (503, "Service unavailable"),
    "131021": (400, "Recipient cannot be sender"),
    "131026": (400, "Message undeliverable"),
    "131030": (400, "Recipient phone number not in allowed list"),
    "131047": (400, "Re-engagement message"),
    "131049": (400, "This message was not delivered to maintain healthy ecosystem engagement."),
    "131050": (400, "User has stopped marketing messages"),
    "131051": (400, "Unsupported message type"),
    "131056": (400, "(Business Account, Consumer Account) pair rate limit hit"),
    "132000": (400, "Template Param Count Mismatch"),
    "132001": (404, "Template does not exist"),
    "132015": (400, "Template is Paused"),
    "132018": (400, "There's an issue with the parameters in your template"),
    "133010": (400, "Phone number not registered"),
}


class Meta(StandIn):
    """WhatsApp messages of one business phone number."""

    name = "meta"
    channel = "whatsapp"
    paths = (r"/{version:v\d+\.\d+}/{number}/messages",)
    usual_refusal = "131026"
    throttle_code = "130429"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._wrote_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        expected = f"Bearer {self.common.accounts.meta_access_token}"
        if not same_secret(request.headers.get("Authorization"), expected):
            raise RefusedRequest(failure("190"), "190")
        number = request.match_info["number"]
        if number != self.common.accounts.meta_phone_number_id:
            words = (
                f"Unsupported post request. Object with ID '{number}' does not exist or cannot be"
                " loaded"
            )
            raise RefusedRequest(
                failure("100", words, kind="GraphMethodException", subcode=33), "100"
            )
        body = read_json(raw)
        problem = problem_of(body)
        if problem is not None:
            to = body.get("to") if isinstance(body, dict) else None
            raise RefusedRequest(failure(*problem), problem[0], to if isinstance(to, str) else None)
        return [
            Item(
                address=body.get("recipient") or canonical(body["to"]),
                provider_id=self._wamid(),
                reference=body.get("biz_opaque_callback_data"),
                content=content_of(body),
                hooks={
                    "input": body.get("to") or body["recipient"],
                    "free": body.get("type", "text") != "template",
                },
            )
        ]

    def objection(self, provider: str, item: Item) -> str | None:
        seconds = self.common.now() - self._wrote_at.get((provider, item.address), 0.0)
        return "131047" if item.hooks["free"] and seconds > WINDOW_SECONDS else None

    def refused(self, code: str, address: str = "") -> web.Response:
        return failure(code)

    def taken(self, item: Item) -> web.Response:
        contact = {"input": item.hooks["input"]} | whom(item.address, "wa_id", "user_id")
        message = {"id": item.provider_id, "message_status": "accepted"}
        return as_json(
            200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
        )

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        item = entry.item
        if planned.state not in STATES or entry.provider not in self.common.callbacks:
            return None
        status: dict[str, Any] = {
            "id": item.provider_id,
            "status": STATES[planned.state],
            "timestamp": str(int(time.time())),
            "type": "message",
        }
        status |= whom(item.address, "recipient_id", "recipient_user_id")
        if item.reference is not None:
            status["biz_opaque_callback_data"] = item.reference
        if planned.state == "failed":
            code = planned.detail or self.usual_refusal
            title = ERRORS.get(code, (400, "Message failed"))[1]
            details = {"details": f"{title}."}
            number = int(code) if code.isdigit() else 131000
            status["errors"] = [
                {"code": number, "title": title, "message": title, "error_data": details}
            ]
        return self._webhook(entry.provider, {"statuses": [status]})

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        """
        A text; it opens the 24-hour window. ``/stop`` and ``/resume`` are the person's settings for
        marketing messages, which WhatsApp reports separately.
        """
        self.callback(provider)
        now = str(int(time.time()))
        if text in ("/stop", "/resume"):
            preference = {
                "category": "marketing_messages",
                "value": text[1:],
                "detail": "",
                "timestamp": int(now),
            }
            preference |= whom(address, "wa_id", "user_id")
            return self._webhook(provider, {"user_preferences": [preference]}, "user_preferences")
        message = {"id": self._wamid(), "timestamp": now, "type": "text", "text": {"body": text}}
        return self._message(provider, address, message)

    async def probe(self, provider: str) -> bool:
        """Meta's verification of a webhook by GET: it has to echo the challenge."""
        challenge = self.common.new_id()
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": self.common.accounts.meta_verify_token,
            "hub.challenge": challenge,
        }
        url = f"{self.common.callbacks[provider]}?{urllib.parse.urlencode(query)}"
        status, body = await self.common.courier.fetch(Post(method="GET", url=url, repeat=False))
        return status == "200" and body == challenge.encode()

    def clicked(self, entry: InboxEntry) -> Post | None:
        """The person presses the quick-reply button of a template, if it has one."""
        payload = entry.item.content.get("payload")
        if payload is None or entry.provider not in self.common.callbacks:
            return super().clicked(entry)
        message = {
            "id": self._wamid(),
            "timestamp": str(int(time.time())),
            "type": "button",
            "button": {"payload": payload, "text": payload},
            "context": {
                "from": self.common.accounts.meta_display_number,
                "id": entry.item.provider_id,
            },
        }
        return self._message(entry.provider, entry.item.address, message)

    def _message(self, provider: str, address: str, message: dict[str, Any]) -> Post:
        put(self._wrote_at, (provider, address), self.common.now(), SESSIONS_KEPT)
        contact = {"profile": {"name": "Sandbox"}} | whom(address, "wa_id", "user_id")
        message = message | whom(address, "from", "from_user_id")
        return self._webhook(provider, {"contacts": [contact], "messages": [message]})

    def _webhook(self, provider: str, value: dict[str, Any], field: str = "messages") -> Post:
        accounts = self.common.accounts
        metadata = {
            "display_phone_number": accounts.meta_display_number,
            "phone_number_id": accounts.meta_phone_number_id,
        }
        change = {
            "field": field,
            "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
        }
        entry = {"id": accounts.meta_business_id, "changes": [change]}
        raw = json.dumps(
            {"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":")
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(accounts.meta_app_secret, raw),
        }
        return Post(url=self.common.callbacks[provider], body=raw, headers=headers)

    def _wamid(self) -> str:
        return "wamid." + base64.b64encode(bytes.fromhex(self.common.new_id()) * 2).decode()


def problem_of(body: Any) -> tuple[str, str] | None:
    """The first fault of a message, as code and details."""
    if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
        return "100", "messaging_product must be whatsapp"
    to, recipient, kind = body.get("to"), body.get("recipient"), body.get("type", "text")
    if not to and not recipient:
        return "131008", "to or recipient is required"
    if to and not (isinstance(to, str) and PHONE.fullmatch(to)):
        return "131009", "to is not a valid phone number"
    if recipient and not (isinstance(recipient, str) and BSUID.fullmatch(recipient)):
        return "131009", "recipient is not a valid user id"
    if kind not in TYPES:
        return "131051", f"type {kind} is not supported"
    part, data = body.get(kind), body.get("biz_opaque_callback_data", "")
    if not isinstance(part, dict):
        return "131008", f"{kind} is required"
    if not isinstance(data, str) or len(data) > 512:
        return "131009", "biz_opaque_callback_data must have at most 512 characters"
    checks = {"template": template_problem, "text": text_problem}
    return checks[kind](part) if kind in checks else None


def text_problem(part: dict[str, Any]) -> tuple[str, str] | None:
    body = part.get("body")
    if not isinstance(body, str) or not body:
        return "131008", "text.body is required"
    return ("100", "text.body must have at most 4096 characters") if len(body) > 4_096 else None


def template_problem(part: dict[str, Any]) -> tuple[str, str] | None:
    language, components = part.get("language"), part.get("components", [])
    if not isinstance(part.get("name"), str) or not part["name"]:
        return "131008", "template.name is required"
    if not isinstance(language, dict) or not isinstance(language.get("code"), str):
        return "131008", "template.language.code is required"
    if not isinstance(components, list) or not all(
        isinstance(component, dict)
        and component.get("type") in ("header", "body", "button")
        and isinstance(component.get("parameters", []), list)
        and all(isinstance(parameter, dict) for parameter in component.get("parameters", []))
        for component in components
    ):
        return "100", "template.components must be header, body and button objects with parameters"
    texts = [one.get("text") for each in components for one in each.get("parameters", [])]
    if any(isinstance(text, str) and REFUSED_SPACE.search(text) for text in texts):
        words = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
        return "132018", words
    return None


def content_of(body: dict[str, Any]) -> dict[str, Any]:
    """The message as the person sees it; of a template, only name and parameters are known."""
    kind = body.get("type", "text")
    part = body[kind]
    if kind != "template":
        return {
            "text": part.get("body") or part.get("caption") or part.get("link") or kind,
            "type": kind,
        }
    parameters: dict[str, list[str]] = {"header": [], "body": [], "button": []}
    payload = None
    for component in part.get("components", []):
        for parameter in component.get("parameters", []):
            parameters[component["type"]].append(shown(parameter))
        if component.get("sub_type") == "quick_reply":
            payload = payload or next(
                (each.get("payload") for each in component.get("parameters", [])), None
            )
    content: dict[str, Any] = {
        "title": f"{part['name']} · {part['language']['code']}",
        "text": "\n".join(parameters["header"] + parameters["body"]),
        "type": kind,
        "template": part,
    }
    if parameters["button"]:
        content["buttons"] = [{"title": text, "url": ""} for text in parameters["button"]]
    return content if payload is None else content | {"payload": payload}


def shown(parameter: dict[str, Any]) -> str:
    kind = str(parameter.get("type", "text"))
    value = parameter.get(kind)
    if isinstance(value, dict):
        value = value.get("fallback_value") or value.get("link")
    return str(value)


def whom(address: str, phone_key: str, user_key: str) -> dict[str, str]:
    """A person in Meta's terms: the digits of the phone, else the business-scoped user id."""
    return {phone_key: address[1:]} if address.startswith("+") else {user_key: address}


def sign(secret: str, raw: bytes) -> str:
    """``X-Hub-Signature-256``: HMAC-SHA256 of the raw body under the app secret."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def failure(
    code: str, details: str = "", kind: str = "OAuthException", subcode: int | None = None
) -> web.Response:
    """Meta's error object."""
    status, title = ERRORS.get(code, (400, "Message failed"))
    message = (
        details if subcode is not None else title if code in ("0", "190") else f"(#{code}) {title}"
    )
    error: dict[str, Any] = {
        "message": message,
        "type": kind,
        "code": int(code) if code.isdigit() else 131000,
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    elif code not in ("0", "190"):
        error["error_data"] = {"messaging_product": "whatsapp", "details": details or title}
    error["fbtrace_id"] = "Asandboxtraceid"
    return as_json(status, {"error": error}, ascii_only=True)
