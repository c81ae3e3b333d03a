"""Vonage's SMS API on the wire: sms/json, delivery receipts, inbound messages."""

from __future__ import annotations

import hmac
import json
from typing import Any

from kaskad_testing import (
    RECEIPT_URL,
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    outgoing,
    reply,
)
from orchestrator import channels as ch

R = ch.Reason
API_SECRET, SIGNATURE = "vonage-api-secret-canary", "vonage-signature-canary"
ID, TIME, AT = "0A0000000123ABCD1", "2026-11-25 10:00:01", 1_795_600_801.0
URL = "https://rest.nexmo.com/sms/json"


def part(status: str, **fields: Any) -> dict[str, Any]:
    taken = {"message-id": ID, "remaining-balance": "3.14", "message-price": "0.03"}
    more = taken if status == "0" else {"error-text": "No."}
    return {"to": "380501234567", "status": status, **more, **fields}


def answer(*parts: dict[str, Any]) -> ch.HttpReply:
    return reply(200, {"message-count": str(len(parts)), "messages": list(parts)})


def refused(text: str, reason: R) -> list[ReplyExample]:
    return [
        ReplyExample(
            promise=f"status {code} is {reason}",
            reply=answer(part(code)),
            outcome=ch.Refused(reason, code),
        )
        for code in text.split()
    ]


def receipt(status: str, code: str = "0") -> ch.Webhook:
    body = {
        "msisdn": "380501234567",
        "to": "Shop",
        "network-code": "25501",
        "messageId": ID,
        "price": "0.03",
        "status": status,
        "scts": "2611251000",
        "err-code": code,
        "message-timestamp": TIME,
        "client-ref": REFERENCE,
    }
    return hook(json_body=body)


def failed(text: str, reason: R | None) -> list[HookExample]:
    return [
        HookExample(
            promise=f"err-code {code} is {reason}",
            hook=receipt("failed", code),
            says=says(ch.Delivery.FAILED, ch.Refused(reason, code) if reason else None),
        )
        for code in text.split()
    ]


def says(state: ch.Delivery, failure: ch.Refused | None = None) -> Any:
    found = ch.Receipt(
        state=state, provider_id=ID, client_reference=REFERENCE, at=AT, failure=failure
    )
    return (found,)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    """HMAC-SHA256 over the sorted fields, as the documentation has it."""
    fields = unsigned.json()
    text = "".join(
        f"&{name}={str(fields[name]).replace('&', '_').replace('=', '_')}"
        for name in sorted(fields)
    )
    found = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
    return changed(unsigned, json.dumps({**fields, "sig": found}).encode())


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    sent = json.loads(call.body)
    return hook(
        json_body={"messageId": ID, "status": "delivered", "client-ref": sent["client-ref"]}
    )


def request(**fields: Any) -> dict[str, Any]:
    common = {
        "api_key": "a1b2c3d4",
        "api_secret": API_SECRET,
        "from": "Shop",
        "to": "380501234567",
        "text": "Ваш кошик чекає",
        "type": "unicode",
        "ttl": 600_000,
        "status-report-req": 1,
        "client-ref": REFERENCE,
        "callback": RECEIPT_URL,
    }
    return {**common, **fields}


TAKEN = ch.Accepted(ID, known_as=(("phone", "+380501234567"),))
THROTTLED = "Throughput Rate Exceeded - please wait [ 250 ] and retry"

EXAMPLES = Examples(
    adapter="vonage_sms",
    settings={
        "api_key": "a1b2c3d4",
        "api_secret": API_SECRET,
        "from": "Shop",
        "signature_secret": SIGNATURE,
    },
    secrets=(API_SECRET, SIGNATURE),
    secret=SIGNATURE,
    sign=sign,
    rotates="signature_secret",
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a text in Cyrillic as it stands",
            message=outgoing(),
            url=URL,
            headers={"Content-Type": "application/json"},
            json=request(),
        ),
        RequestExample(
            promise="a code in ASCII, worth 20 s at least",
            message=outgoing(content={"text": "123456"}, ttl_seconds=5),
            url=URL,
            json=request(text="123456", type="text", ttl=20_000),
        ),
        RequestExample(
            promise="a callback that is too long stays out",
            message=outgoing(receipt_url="https://kaskad.example.com/" + "x" * 100),
            url=URL,
            json={name: value for name, value in request().items() if name != "callback"},
        ),
    ),
    replies=(
        ReplyExample(promise="taken", reply=answer(part("0")), outcome=TAKEN),
        ReplyExample(
            promise="taken if one part was", reply=answer(part("1"), part("0")), outcome=TAKEN
        ),
        ReplyExample(
            promise="too fast, with the pause in the words",
            reply=answer(part("1", **{"error-text": THROTTLED})),
            outcome=ch.NotSent(R.THROTTLED, 250, "1"),
        ),
        ReplyExample(
            promise="too many connections",
            reply=answer(part("10")),
            outcome=ch.NotSent(R.THROTTLED, None, "10"),
        ),
        ReplyExample(
            promise="an internal error says nothing",
            reply=answer(part("5")),
            outcome=ch.Unknown(R.SERVER_ERROR, "5"),
        ),
        *refused("7 33", R.REFUSED_ADDRESS),
        *refused("6", R.REFUSED_RECIPIENT),
        *refused("2 3 12 22 23", R.REFUSED_CONTENT),
        *refused("4 8 9 11 14 15 29 32", R.REFUSED_CONFIGURATION),
        ReplyExample(
            promise="a status nobody knows",
            reply=answer(part("77")),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        ReplyExample(
            promise="no parts", reply=answer(), outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200")
        ),
    ),
    hooks=(
        *(
            HookExample(promise=f"{word} is {state}", hook=receipt(word), says=says(state))
            for word, state in {
                "accepted": ch.Delivery.SENT,
                "buffered": ch.Delivery.SENT,
                "delivered": ch.Delivery.DELIVERED,
                "expired": ch.Delivery.EXPIRED,
                "rejected": ch.Delivery.REJECTED,
            }.items()
        ),
        HookExample(promise="unknown says nothing", hook=receipt("unknown", "1"), says=()),
        *failed("3 12 14", R.REFUSED_ADDRESS),
        *failed("2 5 7 11 13 15", R.REFUSED_RECIPIENT),
        *failed("4 9 53", R.REFUSED_OPTED_OUT),
        *failed("6 10", R.REFUSED_CONTENT),
        *failed("50 51 52 54", R.REFUSED_CONFIGURATION),
        *failed("1 8 16 99", None),
        HookExample(
            promise="a reply",
            hook=hook(
                json_body={
                    "msisdn": "380501234567",
                    "to": "380440000000",
                    "messageId": "in-1",
                    "text": "СТОП",
                    "type": "unicode",
                    "keyword": "СТОП",
                    "message-timestamp": TIME,
                }
            ),
            says=(ch.Inbound(kind="phone", value="+380501234567", text="СТОП", id="in-1", at=AT),),
        ),
    ),
)
