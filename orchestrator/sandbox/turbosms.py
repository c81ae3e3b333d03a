"""
A stand-in for TurboSMS: ``POST /message/send.json`` for SMS and Viber, ``/user/balance.json``, and
signed callbacks.

Reference: TurboSMS HTTP API, "message/send", "Response codes", "Callback". Quirks kept: the HTTP
status is always 200, and every item of an answer has a code of its own; a ``sequence_id`` that was
used before is answered with 507 and the earlier result.
"""

from __future__ import annotations

import hashlib
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

NAMES = {
    "0": "OK",
    "103": "REQUIRED_TOKEN",
    "104": "REQUIRED_CONTENT",
    "105": "REQUIRED_AUTH",
    "106": "REQUIRED_ACTIVE_TOKEN",
    "200": "REQUIRED_MESSAGE_SENDER",
    "201": "REQUIRED_MESSAGE_TEXT",
    "202": "REQUIRED_MESSAGE_RECIPIENT",
    "203": "REQUIRED_BALANCE",
    "305": "INVALID_PHONE",
    "404": "NOT_ALLOWED_NUMBER_STOPLIST",
    "406": "NOT_ALLOWED_RECIPIENT_COUNTRY",
    "413": "NOT_ALLOWED_MESSAGE_LENGTH",
    "500": "FAILED_INTERNAL",
    "507": "FAILED_DUPLICATE_REQUEST",
    "801": "SUCCESS_MESSAGE_SENT",
}
VIBER_TEXT_MAX, SMS_TEXT_MAX = 1_000, 1_521
STATES = {"sent": "Sent", "delivered": "Delivered", "read": "Read", "expired": "Expired"}
RESULTS_KEPT = 100_000


class TurboSmsStandIn(StandIn):
    """SMS and Viber messages of one account, addressed by phone number."""

    name = "turbosms"
    channel = "sms"
    paths = ("/message/send.json",)
    usual_refusal = "406"
    blocked_code = "404"
    throttle_code = "500"

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._results: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        yield from super().routes()
        yield web.post("/user/balance.json", self.balance)

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        self._authenticate(request)
        body = read_json(raw)
        body = body if isinstance(body, dict) else {}
        sequence = body.get("sequence_id")
        if sequence is not None and str(sequence) in self._results:
            raise RefusedRequest(answer("507", self._results[str(sequence)]), "507")
        channel = next((one for one in ("viber", "sms") if isinstance(body.get(one), dict)), None)
        recipients = body.get("recipients")
        if channel is None or not isinstance(recipients, list) or not recipients:
            raise RefusedRequest(answer("104" if channel is None else "202"), "104")
        if (code := wrong_block(channel, body[channel])) is not None:
            raise RefusedRequest(answer(code), code)
        return [
            Item(
                address=canonical(str(to)),
                provider_id=self.common.new_id(),
                reference=None if sequence is None else str(sequence),
                content=shown(body[channel]),
                hooks={"channel": channel},
            )
            for to in recipients
        ]

    def channel_of(self, item: Item) -> str:
        return str(item.hooks["channel"])

    def objection(self, provider: str, item: Item) -> str | None:
        digits = item.address.lstrip("+")
        valid = digits.isdigit() and 7 <= len(digits) <= 15
        return super().objection(provider, item) if valid else "305"

    def respond(self, request: web.Request, results: Sequence[ItemResult]) -> web.Response:
        found = [
            {
                "phone": one.item.address.lstrip("+"),
                "response_code": int(one.code or "0"),
                "message_id": None if one.code else one.item.provider_id,
                "response_status": NAMES.get(one.code or "0", "FAILED"),
            }
            for one in results
        ]
        if (reference := results[0].item.reference) is not None:
            put(self._results, reference, found, RESULTS_KEPT)
        return answer("801", found)

    def refused(self, code: str, address: str = "") -> web.Response:
        return answer(code)

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """A callback, signed with the secret key and the event's id; only Viber reports reading."""
        status = STATES.get(planned.state, "Undelivered" if planned.state == "failed" else None)
        if status is None or (status == "Read" and entry.channel != "viber"):
            return None
        url = self.common.callbacks.get(entry.provider)
        if url is None:
            return None
        event = self.common.new_id()
        signed = f"{self.common.accounts.turbosms_webhook_secret}{event}"
        body = {
            "event_id": event,
            "message_id": entry.item.provider_id,
            "phone": entry.item.address.lstrip("+"),
            "status": status,
            "signature": hashlib.sha1(signed.encode()).hexdigest(),
        }
        return json_post(url, body | ({"reject_reason": planned.detail} if planned.detail else {}))

    async def balance(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
        except RefusedRequest as refusal:
            return refusal.response
        return answer("0", {"balance": 1_000.0})

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        if not given:
            raise RefusedRequest(answer("103"), "103")
        if not same_secret(given, f"Bearer {self.common.accounts.turbosms_token}"):
            raise RefusedRequest(answer("105"), "105")


def wrong_block(channel: str, block: dict[str, Any]) -> str | None:
    """The code for the first fault of a channel's block."""
    text, longest = block.get("text", ""), VIBER_TEXT_MAX if channel == "viber" else SMS_TEXT_MAX
    if not block.get("sender"):
        return "200"
    if not isinstance(text, str) or (not text and not is_web_url(block.get("image_url"))):
        return "201"
    return "413" if len(text) > longest else None


def shown(block: dict[str, Any]) -> dict[str, Any]:
    """The message as the page shows it."""
    found = {"text": block.get("text", ""), "from": block["sender"]}
    if block.get("image_url"):
        found["image"] = block["image_url"]
    if block.get("caption"):
        found["buttons"] = [{"title": block["caption"], "url": block.get("action", "")}]
    return found


def answer(code: str, result: Any = None) -> web.Response:
    """The envelope of every answer."""
    status = NAMES.get(code, "FAILED")
    body = {"response_code": int(code), "response_status": status, "response_result": result}
    return as_json(200, body)
