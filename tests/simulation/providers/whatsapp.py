"""
WhatsApp by Meta's Cloud API: JSON; statuses carry our opaque reference; webhooks are signed over
the body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from orchestrator.channels import HttpCall
from tests.simulation.providers.base import Post, Reply, Request, StandIn, as_json, secret

NUMBER, SECRET = "100200300", "an-app-secret"
OTP_LANE = {
    "address": 131026,
    "recipient": 130472,
    "opted_out": 131050,
    "content": 132001,
    "configuration": 190,
}


class WhatsApp(StandIn):
    adapter = "whatsapp_cloud"
    channel = "whatsapp"
    kind = "phone"
    states = ("sent", "delivered", "read", "failed")
    refusals = ("recipient", "opted_out", "content", "configuration")

    def settings(self) -> dict[str, Any]:
        return {
            "phone_number_id": NUMBER,
            "access_token": secret("token"),
            "app_secret": secret(SECRET),
            "verify_token": secret("verify"),
        }

    def read(self, call: HttpCall) -> Request:
        body = json.loads(call.body)
        return Request(body["biz_opaque_callback_data"], "+" + body["to"], json.dumps(body))

    def accept(self, request: Request, id: str) -> Reply:
        return Reply(
            200, as_json({"messaging_product": "whatsapp", "messages": [{"id": f"wamid.{id}"}]})
        )

    def refuse(self, why: str) -> Reply:
        return Reply(400, as_json({"error": {"code": OTP_LANE[why], "message": "as scripted"}}))

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        status: dict[str, Any] = {
            "id": f"wamid.{id}",
            "status": state,
            "timestamp": str(now_ms // 1000),
        }
        status["biz_opaque_callback_data"] = request.reference
        if state == "failed":
            status["errors"] = [{"code": 131049, "title": "as scripted"}]
        return self._post({"statuses": [status]})

    def inbound(self, address: str, text: str, now_ms: int) -> Post | None:
        message = {
            "from": address.lstrip("+"),
            "id": f"wamid.in{now_ms}",
            "timestamp": str(now_ms // 1000),
        }
        return self._post({"messages": [message | {"type": "text", "text": {"body": text}}]})

    def preference(self, address: str, state: str, now_ms: int) -> Post | None:
        value = "stop" if state == "out" else "resume"
        item = {"wa_id": address.lstrip("+"), "category": "marketing_messages", "value": value}
        return self._post({"user_preferences": [item | {"timestamp": str(now_ms // 1000)}]})

    def _post(self, value: dict[str, Any]) -> Post:
        change = {"field": "messages", "value": {"metadata": {"phone_number_id": NUMBER}, **value}}
        body = as_json(
            {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
        )
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        return Post(
            body, {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}
        )
