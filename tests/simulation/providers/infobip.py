"""
Infobip's Viber business messages: JSON; every answer is per message; webhooks log in with a bearer
token.
"""

from __future__ import annotations

import json
from typing import Any

from orchestrator.channels import HttpCall
from tests.simulation.providers.base import Post, Reply, Request, StandIn, as_json, iso, secret

TOKEN = "a-bearer-token-for-webhooks"
GROUPS = {"sent": (1, 7), "delivered": (3, 5), "failed": (2, 9), "expired": (4, 15)}
REFUSALS = {
    "address": (5, 6, 7002),
    "recipient": (5, 6, 7010),
    "opted_out": (5, 6, 7003),
    "content": (5, 6, 7027),
}
CONFIGURATION = (5, 12, 0)


class Infobip(StandIn):
    adapter = "infobip_viber"
    channel = "viber"
    kind = "phone"
    states = ("sent", "delivered", "read", "failed", "expired")
    refusals = ("address", "recipient", "opted_out", "content", "configuration")

    def settings(self) -> dict[str, Any]:
        base_url = f"https://{self.provider.replace('_', '-')}.api.example.com"
        return {
            "api_key": secret("key"),
            "sender": "Shop",
            "base_url": base_url,
            "webhook_token": secret(TOKEN),
        }

    def read(self, call: HttpCall) -> Request:
        (message,) = json.loads(call.body)["messages"]
        (destination,) = message["destinations"]
        return Request(destination["messageId"], "+" + destination["to"], json.dumps(message))

    def accept(self, request: Request, id: str) -> Reply:
        return self._one(request.reference, 1, 26, 0)

    def refuse(self, why: str) -> Reply:
        group, status, error = REFUSALS.get(why, CONFIGURATION)
        return self._one("refused", group, status, error)

    def _one(self, id: str, group: int, status: int, error: int) -> Reply:
        entry: dict[str, Any] = {
            "messageId": id,
            "status": {"groupId": group, "id": status, "description": "as scripted"},
        }
        if error:
            entry["error"] = {"id": error}
        return Reply(200, as_json({"messages": [entry]}), {"content-type": "application/json"})

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        item: dict[str, Any] = {"messageId": request.reference}
        if state == "read":
            item["seenAt"] = iso(now_ms)
        elif state in GROUPS:
            group, status = GROUPS[state]
            item |= {
                "callbackData": request.reference,
                "status": {"groupId": group, "id": status},
                "doneAt": iso(now_ms),
            }
        else:
            return None
        return self._post({"results": [item]})

    def inbound(self, address: str, text: str, now_ms: int) -> Post | None:
        item = {
            "sender": address.lstrip("+"),
            "to": "Shop",
            "message": {"type": "TEXT", "text": text},
        }
        return self._post(
            {"results": [item | {"messageId": f"in-{now_ms}", "receivedAt": iso(now_ms)}]}
        )

    def _post(self, body: Any) -> Post:
        return Post(
            as_json(body), {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        )
