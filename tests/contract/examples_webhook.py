"""A system of the operator's own: signed requests out, signed receipts back."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from adapter_conformance import (
    NOW,
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
SECRET = "whsec_" + base64.b64encode(b"a-secret-canary-of-24-bytes").decode()
URL = "https://hooks.example.com/kaskad"


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    """As Standard Webhooks have it."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    text = f"msg_1.{int(NOW)}.".encode() + unsigned.body
    signature = "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return changed(unsigned, webhook_id="msg_1", webhook_timestamp=str(int(NOW)), webhook_signature=signature)


def receipt(state: str, **more: Any) -> ch.Webhook:
    return hook(json_body={"reference": REFERENCE, "state": state, **more})


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    return hook(json_body={"reference": json.loads(call.body)["data"]["reference"], "state": "delivered"})


def told(state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None) -> tuple[ch.Receipt]:
    return (ch.Receipt(state=state, client_reference=REFERENCE, failure=failure),)


EXAMPLES = Examples(
    adapter="webhook",
    settings={"url": URL, "secret": SECRET},
    secrets=(SECRET,),
    secret=SECRET,
    sign=sign,
    proof="webhook-signature",
    status_decides=True,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a signed message",
            message=outgoing(),
            url=URL,
            headers={"webhook-id": "0123456789abcdef0123456789abcdef", "webhook-timestamp": str(int(NOW))},
        ),
    ),
    replies=(
        ReplyExample(promise="taken", reply=reply(200, {"id": "x1"}), outcome=ch.Accepted("x1")),
        ReplyExample(promise="taken without a word", reply=reply(204), outcome=ch.Accepted(None)),
        ReplyExample(promise="refused", reply=reply(400), outcome=ch.Refused(R.REFUSED_CONTENT, "400")),
        ReplyExample(promise="down", reply=reply(502), outcome=ch.Unknown(R.SERVER_ERROR, "502")),
    ),
    hooks=(
        HookExample(promise="sent", hook=receipt("sent"), says=told(ch.Delivery.SENT)),
        HookExample(promise="delivered", hook=receipt("delivered"), says=told(ch.Delivery.DELIVERED)),
        HookExample(promise="read", hook=receipt("read"), says=told(ch.Engagement.READ)),
        HookExample(promise="clicked", hook=receipt("clicked"), says=told(ch.Engagement.CLICKED)),
        HookExample(promise="replied", hook=receipt("replied"), says=told(ch.Engagement.REPLIED)),
        HookExample(
            promise="failed",
            hook=receipt("failed"),
            says=told(ch.Delivery.FAILED, ch.Refused(R.REFUSED_RECIPIENT, "failed")),
        ),
        HookExample(promise="a word nobody knows", hook=receipt("teleported"), says=()),
    ),
)
