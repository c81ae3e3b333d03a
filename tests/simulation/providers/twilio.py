"""Twilio SMS: forms in, JSON out; webhooks are forms signed over the URL and the fields."""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.parse
from typing import Any

from orchestrator.channels import HttpCall
from tests.simulation.providers.base import Post, Reply, Request, StandIn, as_json, secret

ACCOUNT, TOKEN = "AC00000000000000000000000000000001", "a-token-of-twilio"
FORM = "application/x-www-form-urlencoded"
OTP_LANE = {
    "address": 21211,
    "recipient": 21612,
    "opted_out": 21610,
    "content": 21617,
    "configuration": 20003,
}
WORDS = {"sent": "sent", "delivered": "delivered", "failed": "undelivered"}


class Twilio(StandIn):
    adapter = "twilio_sms"
    channel = "sms"
    kind = "phone"
    states = ("sent", "delivered", "failed")
    refusals = ("address", "recipient", "opted_out", "content", "configuration")

    def settings(self) -> dict[str, Any]:
        return {"account_sid": ACCOUNT, "auth_token": secret(TOKEN), "from": "Shop"}

    def new_id(self, number: int) -> str:
        return f"SM{number:032d}"

    def read(self, call: HttpCall) -> Request:
        fields = dict(urllib.parse.parse_qsl(call.body.decode()))
        query = urllib.parse.urlsplit(fields["StatusCallback"]).query
        return Request(urllib.parse.parse_qs(query)["ref"][0], fields["To"], fields["Body"])

    def accept(self, request: Request, id: str) -> Reply:
        return Reply(
            201, as_json({"sid": id, "status": "queued"}), {"content-type": "application/json"}
        )

    def refuse(self, why: str) -> Reply:
        code = OTP_LANE[why]
        return Reply(
            401 if why == "configuration" else 400,
            as_json({"code": code, "message": "as scripted"}),
        )

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        if state not in WORDS:
            return None
        fields = [("AccountSid", ACCOUNT), ("MessageSid", id), ("MessageStatus", WORDS[state])]
        return self._post(fields, f"?{urllib.parse.urlencode({'ref': request.reference})}")

    def inbound(self, address: str, text: str, now_ms: int) -> Post | None:
        fields = [
            ("AccountSid", ACCOUNT),
            ("MessageSid", f"SMin{now_ms}"),
            ("SmsStatus", "received"),
        ]
        return self._post([*fields, ("From", address), ("Body", text)], "")

    def _post(self, fields: list[tuple[str, str]], query: str) -> Post:
        signed = self.url + query + "".join(name + value for name, value in sorted(fields))
        digest = hmac.new(TOKEN.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {"content-type": FORM, "x-twilio-signature": base64.b64encode(digest).decode()}
        return Post(urllib.parse.urlencode(fields).encode(), headers, query)
