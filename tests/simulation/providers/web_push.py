"""
A push service and the browsers behind it: it sees only ciphertext; what was shown, the service
worker reports.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from orchestrator.channels import HttpCall
from orchestrator.sandbox.push_crypto import BrowserKeys, decrypt
from tests.simulation.providers.base import Post, Reply, Request, StandIn, as_json, secret

ORIGIN = "https://fcm.googleapis.com"
EVENTS = {"delivered": "delivered", "clicked": "clicked"}
REFUSALS = {"address": 410, "recipient": 302, "content": 400, "configuration": 403}


@cache
def browser(number: int) -> BrowserKeys:
    """The keys of one browser; the same in every run."""
    return BrowserKeys.of(1_000_003 + number, number.to_bytes(16, "big"))


@cache
def subscription(number: int) -> dict[str, Any]:
    """A browser's PushSubscription."""
    return {"endpoint": f"{ORIGIN}/fcm/send/{number}", "keys": browser(number).public()}


@cache
def vapid_key() -> str:
    key = ec.derive_private_key(4_242_424_242, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class WebPush(StandIn):
    adapter = "web_push"
    channel = "web_push"
    kind = "web_push"
    states = ("delivered", "clicked")
    refusals = ("address", "recipient", "content", "configuration")

    def settings(self) -> dict[str, Any]:
        return {"private_key": secret(vapid_key()), "subject": "mailto:ops@example.com"}

    def read(self, call: HttpCall) -> Request:
        number = int(call.url.rpartition("/")[2])
        payload = json.loads(decrypt(browser(number), call.body))
        return Request(payload["rt"], call.url, json.dumps(payload))

    def accept(self, request: Request, id: str) -> Reply:
        return Reply(201, b"", {"location": f"{ORIGIN}/message/{id}"})

    def refuse(self, why: str) -> Reply:
        return Reply(REFUSALS[why], b"")

    def unreadable(self) -> Reply:
        return Reply(299, b"it works")

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        if state not in EVENTS:
            return None
        return Post(
            as_json({"rt": request.reference, "ev": EVENTS[state]}), {"content-type": "text/plain"}
        )
