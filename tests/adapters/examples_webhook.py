"""A system of the operator's own: signed requests out, signed receipts back."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from kaskad_testing import (
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
NEXT = "whsec_" + base64.b64encode(b"the-next-secret-of-24-bytes").decode()
SECRET = "whsec_" + base64.b64encode(b"a-secret-canary-of-24-bytes").decode()
URL = "https://hooks.example.com/kaskad"


def sign(unsigned: ch.Webhook, secret: str, at: str = str(int(NOW))) -> ch.Webhook:
    """Sign as Standard Webhooks specify."""
    key = (
        base64.b64decode(secret.removeprefix("whsec_"))
        if secret.startswith("whsec_")
        else secret.encode()
    )
    text = f"msg_1.{at}.".encode() + unsigned.body
    signature = "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return changed(unsigned, webhook_id="msg_1", webhook_timestamp=at, webhook_signature=signature)


def receipt(state: str, **more: Any) -> ch.Webhook:
    return hook(json_body={"reference": REFERENCE, "state": state, **more})


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    return hook(
        json_body={"reference": json.loads(call.body)["data"]["reference"], "state": "delivered"}
    )


def receipts_of(
    state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None
) -> tuple[ch.Receipt]:
    return (ch.Receipt(state=state, client_reference=REFERENCE, failure=failure),)


def failed(reason: str | None, meant: R, state: ch.Delivery = ch.Delivery.FAILED) -> HookExample:
    more = {"reason": reason} if reason else {}
    says = receipts_of(state, ch.Refused(meant, state.value))
    return HookExample(
        promise=f"{state.value} for {reason}", hook=receipt(state.value, **more), says=says
    )


def named(**name: Any) -> tuple[ch.Receipt]:
    return (ch.Receipt(state=ch.Delivery.DELIVERED, **name),)


DATA = {
    "message_id": "0192f0c1-7d3c-7000-8000-000000000001",
    "reference": REFERENCE,
    "to": {"kind": "phone", "value": "+380501234567"},
    "class": "transactional",
    "topic": "orders",
    "locale": "uk-UA",
    "ttl_seconds": 600,
    "content": {"text": "Ваш кошик чекає"},
}
PUSH = ch.Address("web_push", "https://push.example/1", "hash", (("auth", "a"), ("p256dh", "p")))
TO_PUSH = {
    "kind": "web_push",
    "value": "https://push.example/1",
    "keys": {"auth": "a", "p256dh": "p"},
}

EXAMPLES = Examples(
    adapter="webhook",
    settings={"url": URL, "secret": SECRET},
    secrets=(SECRET,),
    secret=SECRET,
    sign=sign,
    proof="webhook-signature",
    rotates="secret",
    next_secret=NEXT,
    status_decides=True,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a signed message",
            message=outgoing(),
            url=URL,
            headers={
                "Content-Type": "application/json",
                "webhook-id": "0123456789abcdef0123456789abcdef",
                "webhook-timestamp": str(int(NOW)),
                "webhook-signature": "v1,EOT66z1VuI1thum14xpNuNxAi3gk0NDUJhJB+7MaVOA=",
            },
            json={"type": "message.send", "timestamp": "2026-11-25T09:46:40Z", "data": DATA},
        ),
        RequestExample(
            promise="a push subscription goes with its keys",
            message=outgoing(address=PUSH),
            url=URL,
            json={
                "type": "message.send",
                "timestamp": "2026-11-25T09:46:40Z",
                "data": {**DATA, "to": TO_PUSH},
            },
        ),
    ),
    replies=(
        ReplyExample(promise="taken", reply=reply(200, {"id": "x1"}), outcome=ch.Accepted("x1")),
        ReplyExample(
            promise="taken with an empty answer", reply=reply(204), outcome=ch.Accepted(None)
        ),
        ReplyExample(
            promise="taken with prose",
            reply=reply(202, b"<p>thanks</p>"),
            outcome=ch.Accepted(None),
        ),
        ReplyExample(
            promise="taken with an odd id", reply=reply(200, {"id": 7}), outcome=ch.Accepted(None)
        ),
        ReplyExample(
            promise="refused",
            reply=reply(400, {"error": "no such template"}),
            outcome=ch.Refused(R.REFUSED_CONTENT, "400", "no such template"),
        ),
        ReplyExample(
            promise="a wrong secret",
            reply=reply(401),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "401"),
        ),
        ReplyExample(
            promise="moved", reply=reply(301), outcome=ch.Refused(R.REFUSED_RECIPIENT, "301")
        ),
        ReplyExample(
            promise="slow down",
            reply=reply(429, retry_after="7"),
            outcome=ch.NotSent(R.THROTTLED, 7_000, "429"),
        ),
        ReplyExample(promise="down", reply=reply(502), outcome=ch.Unknown(R.SERVER_ERROR, "502")),
    ),
    hooks=(
        HookExample(promise="sent", hook=receipt("sent"), says=receipts_of(ch.Delivery.SENT)),
        HookExample(
            promise="delivered", hook=receipt("delivered"), says=receipts_of(ch.Delivery.DELIVERED)
        ),
        HookExample(promise="read", hook=receipt("read"), says=receipts_of(ch.Engagement.READ)),
        HookExample(
            promise="clicked", hook=receipt("clicked"), says=receipts_of(ch.Engagement.CLICKED)
        ),
        HookExample(
            promise="replied", hook=receipt("replied"), says=receipts_of(ch.Engagement.REPLIED)
        ),
        failed(None, R.REFUSED_RECIPIENT),
        failed("recipient", R.REFUSED_RECIPIENT),
        failed("address", R.REFUSED_ADDRESS),
        failed("opted_out", R.REFUSED_OPTED_OUT),
        failed("content", R.REFUSED_CONTENT),
        failed("configuration", R.REFUSED_RECIPIENT),
        failed(None, R.REFUSED_RECIPIENT, ch.Delivery.EXPIRED),
        HookExample(
            promise="found by the receiver's own id",
            hook=hook(json_body={"id": "x1", "state": "delivered"}),
            says=named(provider_id="x1"),
        ),
        HookExample(
            promise="inside data, as Standard Webhooks write it",
            hook=hook(
                json_body={
                    "type": "message.delivered",
                    "data": {"reference": REFERENCE, "state": "delivered"},
                }
            ),
            says=named(client_reference=REFERENCE),
        ),
        HookExample(
            promise="with its time as text",
            hook=receipt("delivered", at="2026-11-25T10:00:01.500Z"),
            says=named(client_reference=REFERENCE, at=1_795_600_801.5),
        ),
        HookExample(
            promise="with its time as a number",
            hook=receipt("delivered", at=1_795_600_801),
            says=named(client_reference=REFERENCE, at=1_795_600_801.0),
        ),
        HookExample(promise="a word nobody knows", hook=receipt("teleported"), says=()),
        HookExample(
            promise="about no message", hook=hook(json_body={"state": "delivered"}), says=()
        ),
    ),
    forged=tuple(
        sign(receipt("delivered"), SECRET, at)
        for at in (
            *(str(int(NOW) + off) for off in (-301, 301)),
            "",
            "0",
            "-1",
            "²",
            "9" * 40,
            "nan",
            f"{int(NOW)}.0",
        )
    ),
)
