"""
A Viber bot: JSON; always 200; its events name the message by a token only, so an early one has no
owner yet.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from orchestrator.channels import HttpCall
from tests.simulation.providers.base import Post, Reply, Request, StandIn, as_json, secret

TOKEN = "a-token-of-the-bot"
STATUSES = {"address": 5, "recipient": 13, "opted_out": 6, "content": 3, "configuration": 2}
EVENTS = {"delivered": "delivered", "read": "seen", "failed": "failed"}


class ViberBot(StandIn):
    adapter = "viber_bot"
    channel = "viber"
    kind = "viber_bot_id"
    states = ("delivered", "read", "failed")
    refusals = ("address", "recipient", "opted_out", "content", "configuration")

    def settings(self) -> dict[str, Any]:
        return {"auth_token": secret(TOKEN), "sender": "Shop"}

    def read(self, call: HttpCall) -> Request:
        body = json.loads(call.body)
        return Request(body["tracking_data"], body["receiver"], body["text"])

    def accept(self, request: Request, id: str) -> Reply:
        return Reply(200, as_json({"status": 0, "status_message": "ok", "message_token": int(id)}))

    def refuse(self, why: str) -> Reply:
        return Reply(200, as_json({"status": STATUSES[why], "status_message": "as scripted"}))

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        if state not in EVENTS:
            return None
        event = {
            "event": EVENTS[state],
            "timestamp": now_ms,
            "message_token": int(id),
            "user_id": request.address,
        }
        return self._post(event)

    def inbound(self, address: str, text: str, now_ms: int) -> Post | None:
        message = {"type": "text", "text": text}
        event = {
            "event": "message",
            "timestamp": now_ms,
            "message_token": now_ms,
            "sender": {"id": address},
        }
        return self._post(event | {"message": message})

    def preference(self, address: str, state: str, now_ms: int) -> Post | None:
        if state == "out":
            return self._post({"event": "unsubscribed", "timestamp": now_ms, "user_id": address})
        return self._post({"event": "subscribed", "timestamp": now_ms, "user": {"id": address}})

    def _post(self, event: dict[str, Any]) -> Post:
        body = as_json(event)
        digest = hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
        return Post(body, {"x-viber-content-signature": digest, "content-type": "application/json"})
