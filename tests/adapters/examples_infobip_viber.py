"""Infobip's Viber API on the wire."""

from __future__ import annotations

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
KEY, BEARER = "infobip-api-key-canary", "infobip-webhook-token-canary"
URL = "https://xyz12.api.infobip.com/viber/2/messages"
DONE, DONE_AT = "2026-11-25T10:00:01.500+0000", 1_795_600_801.5
WORDS = {1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}


def body(content: dict[str, Any], label: str, amount: int, unit: str) -> dict[str, Any]:
    entry = {
        "sender": "Shop",
        "destinations": [{"to": "380501234567", "messageId": REFERENCE}],
        "content": content,
        "options": {
            "label": label,
            "validityPeriod": {"amount": amount, "timeUnit": unit},
            "trackingData": REFERENCE,
        },
        "webhooks": {
            "delivery": {"url": RECEIPT_URL, "intermediateReport": True, "notify": True},
            "seen": {"url": RECEIPT_URL},
            "contentType": "application/json",
            "callbackData": REFERENCE,
        },
    }
    return {"messages": [entry]}


def status(group: int, number: int, words: str = "No.") -> dict[str, Any]:
    return {
        "groupId": group,
        "groupName": WORDS[group],
        "id": number,
        "name": "NAME",
        "description": words,
    }


def verdict(group: int, number: int, **fields: Any) -> ch.HttpReply:
    item = {
        "messageId": REFERENCE,
        "status": status(group, number),
        "destination": "380501234567",
        **fields,
    }
    return reply(200, {"bulkId": "b-1", "messages": [item]})


def failing(number: int) -> dict[str, Any]:
    return {
        "groupId": 1,
        "groupName": "HANDSET_ERRORS",
        "id": number,
        "description": "Why.",
        "permanent": True,
    }


def by_status(group: int, number: int, reason: R) -> ReplyExample:
    outcome = ch.Refused(reason, str(number), "No.")
    return ReplyExample(
        promise=f"status {number} is {reason}", reply=verdict(group, number), outcome=outcome
    )


def by_error(number: int, reason: R, **more: Any) -> ReplyExample:
    answer = verdict(2, 4, error=failing(number))
    return ReplyExample(
        promise=f"error {number} is {reason}",
        reply=answer,
        outcome=ch.Refused(reason, str(number), **more),
    )


def fault(code: int, name: str, outcome: ch.Outcome, **headers: str) -> ReplyExample:
    answer = reply(code, {"errorCode": name, "description": "Why.", "violations": []}, **headers)
    return ReplyExample(promise=f"{code} {name}", reply=answer, outcome=outcome)


def report(
    group: int, number: int, error: dict[str, Any] | None = None, **fields: Any
) -> ch.Webhook:
    none = {
        "groupId": 0,
        "groupName": "OK",
        "id": 0,
        "name": "NO_ERROR",
        "description": "No Error",
        "permanent": False,
    }
    item = {
        "bulkId": "b-1",
        "messageId": REFERENCE,
        "to": "380501234567",
        "sentAt": DONE,
        "doneAt": DONE,
        "messageCount": 1,
        "callbackData": REFERENCE,
        "status": status(group, number),
        "error": error or none,
    }
    return hook(json_body={"results": [{**item, **fields}]})


def receipts_of(
    state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None, detail: str = ""
) -> tuple[ch.Receipt]:
    receipt = ch.Receipt(
        state=state,
        provider_id=REFERENCE,
        client_reference=REFERENCE,
        at=DONE_AT,
        failure=failure,
        detail=detail,
    )
    return (receipt,)


def log_in(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, authorization=f"Bearer {secret}")


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """Infobip's delivery report for a request."""
    sent = json.loads(call.body)["messages"][0]
    where = {
        "messageId": sent["destinations"][0]["messageId"],
        "callbackData": sent["webhooks"]["callbackData"],
    }
    return hook(json_body={"results": [{**where, "doneAt": DONE, "status": status(3, 5)}]})


SEEN = {
    "messageId": REFERENCE,
    "from": "380501234567",
    "to": "Shop",
    "sentAt": DONE,
    "seenAt": DONE,
}
REPLY = {
    "sender": "380501234567",
    "to": "Shop",
    "integrationType": "VIBER",
    "receivedAt": DONE,
    "messageId": "in-1",
    "message": {"type": "TEXT", "text": "Так", "trackingData": REFERENCE},
}
CLICK = {
    "notificationType": "CLICKED",
    "recipient": "380501234567",
    "url": "https://shop.example",
    "messageId": REFERENCE,
}
BUTTON = {"title": "Кошик", "url": "https://shop.example/cart"}
RICH = {
    "text": "Ваш кошик чекає",
    "yaml": {"image": "https://shop.example/p.jpg", "button": BUTTON},
}

EXAMPLES = Examples(
    adapter="infobip_viber",
    settings={
        "api_key": KEY,
        "sender": "Shop",
        "base_url": "https://xyz12.api.infobip.com/",
        "webhook_token": BEARER,
    },
    secrets=(KEY, BEARER),
    secret=BEARER,
    sign=log_in,
    proof="authorization",
    signs_body=False,
    rotates="webhook_token",
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a transactional text, valid for whole minutes",
            message=outgoing(),
            url=URL,
            headers={
                "Authorization": f"App {KEY}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            json=body({"type": "TEXT", "text": "Ваш кошик чекає"}, "TRANSACTIONAL", 10, "MINUTES"),
        ),
        RequestExample(
            promise="a promotion with image and button, valid for two days at most",
            message=outgoing(message_class="promotional", content=RICH, ttl_seconds=10**6),
            url=URL,
            json=body(
                {
                    "type": "IMAGE",
                    "mediaUrl": "https://shop.example/p.jpg",
                    "text": "Ваш кошик чекає",
                    "button": {"title": "Кошик", "action": "https://shop.example/cart"},
                },
                "PROMOTIONAL",
                2880,
                "MINUTES",
            ),
        ),
        RequestExample(
            promise="a code with a button, valid for half a minute at least",
            message=outgoing(
                message_class="otp",
                ttl_seconds=5,
                content={"text": "123456", "yaml": {"button": BUTTON}},
            ),
            url=URL,
            json=body(
                {
                    "type": "TEXT",
                    "text": "123456",
                    "button": {"title": "Кошик", "action": "https://shop.example/cart"},
                },
                "TRANSACTIONAL",
                30,
                "SECONDS",
            ),
        ),
    ),
    replies=(
        ReplyExample(
            promise="pending is taken", reply=verdict(1, 26), outcome=ch.Accepted(REFERENCE)
        ),
        ReplyExample(
            promise="a repeat was taken the first time",
            reply=verdict(5, 23),
            outcome=ch.Accepted(REFERENCE, duplicate=True),
        ),
        ReplyExample(
            promise="a repeat that Viber noticed was taken the first time",
            reply=verdict(5, 100, error=failing(7280)),
            outcome=ch.Accepted(REFERENCE, duplicate=True),
        ),
        by_status(5, 6, R.REFUSED_ADDRESS),
        by_status(5, 10, R.REFUSED_OPTED_OUT),
        by_status(5, 14, R.REFUSED_OPTED_OUT),
        by_status(5, 12, R.REFUSED_CONFIGURATION),
        by_status(5, 24, R.REFUSED_CONTENT),
        by_status(2, 9, R.REFUSED_RECIPIENT),
        by_error(7002, R.REFUSED_ADDRESS),
        by_error(7003, R.REFUSED_OPTED_OUT),
        by_error(7033, R.REFUSED_OPTED_OUT, classes=("promotional",)),
        by_error(7201, R.REFUSED_RECIPIENT),
        by_error(7027, R.REFUSED_CONTENT),
        by_error(7081, R.REFUSED_CONFIGURATION),
        ReplyExample(
            promise="a flooding filter took nothing for an hour",
            reply=verdict(5, 20),
            outcome=ch.NotSent(R.THROTTLED, 3_600_000, "20"),
        ),
        ReplyExample(
            promise="too many requests took nothing",
            reply=verdict(5, 100, error=failing(7017)),
            outcome=ch.NotSent(R.THROTTLED, None, "7017"),
        ),
        ReplyExample(
            promise="a system error says nothing",
            reply=verdict(5, 21),
            outcome=ch.Unknown(R.SERVER_ERROR, "21"),
        ),
        ReplyExample(
            promise="two verdicts for one message",
            reply=reply(200, {"messages": [{"messageId": "a", "status": status(1, 26)}] * 2}),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        fault(400, "E400", ch.Refused(R.REFUSED_CONTENT, "E400", "Why.")),
        fault(401, "E401", ch.Refused(R.REFUSED_CONFIGURATION, "E401", "Why.")),
        fault(429, "E429", ch.NotSent(R.THROTTLED, 9000, "E429", "Why."), retry_after="9"),
        fault(500, "E500", ch.Unknown(R.SERVER_ERROR, "E500", "Why.")),
        ReplyExample(
            promise="the older form of an error",
            reply=reply(
                401,
                {
                    "requestError": {
                        "serviceException": {"messageId": "UNAUTHORIZED", "text": "Why."}
                    }
                },
            ),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "UNAUTHORIZED", "Why."),
        ),
    ),
    hooks=(
        HookExample(
            promise="pending is sent", hook=report(1, 7), says=receipts_of(ch.Delivery.SENT)
        ),
        HookExample(
            promise="delivered to the handset",
            hook=report(3, 5),
            says=receipts_of(ch.Delivery.DELIVERED),
        ),
        HookExample(
            promise="delivered to the operator is sent",
            hook=report(3, 2),
            says=receipts_of(ch.Delivery.SENT),
        ),
        HookExample(promise="expired", hook=report(4, 15), says=receipts_of(ch.Delivery.EXPIRED)),
        HookExample(
            promise="no user of Viber",
            hook=report(2, 4, failing(7002)),
            says=receipts_of(
                ch.Delivery.FAILED, ch.Refused(R.REFUSED_ADDRESS, "7002"), "7002 Why."
            ),
        ),
        HookExample(
            promise="a permanent error nobody knows",
            hook=report(2, 4, failing(7999)),
            says=receipts_of(ch.Delivery.FAILED, ch.Refused(R.REFUSED_RECIPIENT, "7999")),
        ),
        HookExample(
            promise="a passing error nobody knows",
            hook=report(2, 4, {**failing(7999), "permanent": False}),
            says=receipts_of(ch.Delivery.FAILED),
        ),
        HookExample(
            promise="rejected for want of credit",
            hook=report(5, 12),
            says=receipts_of(ch.Delivery.REJECTED, ch.Refused(R.REFUSED_CONFIGURATION, "12")),
        ),
        HookExample(promise="the rejection of a repeat is no failure", hook=report(5, 23), says=()),
        HookExample(
            promise="a duplicate at Viber is no failure", hook=report(2, 4, failing(7280)), says=()
        ),
        HookExample(
            promise="seen is read",
            hook=hook(json_body={"results": [SEEN]}),
            says=receipts_of(ch.Engagement.READ),
        ),
        HookExample(
            promise="clicked",
            hook=hook(json_body=CLICK),
            says=(
                ch.Receipt(
                    state=ch.Engagement.CLICKED, provider_id=REFERENCE, client_reference=REFERENCE
                ),
            ),
        ),
        HookExample(
            promise="a reply answers ours",
            hook=hook(json_body={"results": [REPLY], "messageCount": 1, "pendingMessageCount": 0}),
            says=(
                ch.Inbound(
                    kind="phone",
                    value="+380501234567",
                    text="Так",
                    id="in-1",
                    answers=(REFERENCE,),
                    at=DONE_AT,
                ),
            ),
        ),
        HookExample(
            promise="several reports in one call",
            hook=hook(json_body={"results": [SEEN, {}, 5, {"status": []}, SEEN]}),
            says=receipts_of(ch.Engagement.READ) * 2,
        ),
    ),
    forged=(
        changed(hook(json_body={"results": []}), authorization=f"Basic {BEARER}"),
        changed(hook(json_body={"results": []}), authorization=BEARER),
    ),
)
