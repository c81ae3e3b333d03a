"""AlphaSMS on the wire: api/json.php for SMS and Viber, status webhooks."""

from __future__ import annotations

import json
import urllib.parse
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
KEY, TOKEN = "alphasms-key-canary", "alphasms-webhook-canary"
URL = "https://alphasms.ua/api/json.php"
CALLBACK = f"{RECEIPT_URL}?ref={REFERENCE}&token={TOKEN}"


def answer(success: Any, **fields: Any) -> ch.HttpReply:
    item = {"success": success, "data": {"id": REFERENCE}, **fields}
    return reply(200, {"success": True, "data": [item]})


def refused(text: str, reason: R, personal: bool = False) -> list[ReplyExample]:
    return meant(text, ch.Refused(reason, None, text, personal=personal))


def meant(text: str, outcome: ch.Outcome) -> list[ReplyExample]:
    """The text as the item's and as that of the whole request."""
    whole = reply(200, {"success": False, "error": text})
    return [
        ReplyExample(promise=f"{where}: {text}", reply=given, outcome=outcome)
        for where, given in (("item", answer(False, error=text)), ("request", whole))
    ]


def status(word: str) -> ch.Webhook:
    body = {"type": "status", "id": REFERENCE, "msg_id": 12345, "status": word}
    return hook(json_body=body, query={"ref": REFERENCE})


def log_in(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, authorization=f"Bearer {secret}")


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """AlphaSMS posts to the hook of the request."""
    entry = json.loads(call.body)["data"][0]
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(entry["hook"]).query))
    assert query.pop("token") == TOKEN
    return hook(json_body={"id": entry["id"], "msg_id": 5, "status": "DELIVERED"}, query=query)


def says(state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None) -> Any:
    return (
        ch.Receipt(state=state, provider_id="12345", client_reference=REFERENCE, failure=failure),
    )


def request(kind: str, seconds: int, **fields: Any) -> dict[str, Any]:
    entry = {
        "type": kind,
        "id": REFERENCE,
        "phone": 380501234567,
        f"{kind}_signature": "Shop",
        f"{kind}_lifetime": seconds,
        "hook": CALLBACK,
        **fields,
    }
    return {"auth": KEY, "data": [entry]}


STATES = {
    "QUEUED": ch.Delivery.SENT,
    "DELIVERED": ch.Delivery.DELIVERED,
    "UNDELIVERABLE": ch.Delivery.FAILED,
    "NO ROUTE": ch.Delivery.FAILED,
    "FILTERED": ch.Delivery.FAILED,
    "EXPIRED": ch.Delivery.EXPIRED,
    "REJECTED": ch.Delivery.REJECTED,
}
TWO = [
    {"id": REFERENCE, "status": "DELIVERED"},
    {"id": "other", "msg_id": 6, "status": "EXPIRED"},
]
HOOKS = (
    *(
        HookExample(promise=f"{word} is {state}", hook=status(word), says=says(state))
        for word, state in STATES.items()
    ),
    HookExample(
        promise="a dead number",
        hook=status("INVALID DESTINATION ADDRESS"),
        says=says(ch.Delivery.FAILED, ch.Refused(R.REFUSED_ADDRESS)),
    ),
    HookExample(
        promise="several in a list",
        hook=hook(json_body={"data": [{"id": REFERENCE, "status": "DELIVERED"}, 5, {}]}),
        says=(ch.Receipt(state=ch.Delivery.DELIVERED, client_reference=REFERENCE),),
    ),
    *(
        HookExample(
            promise=f"two {where}, by their own ids alone",
            hook=hook(json_body=body, query={"ref": REFERENCE}),
            says=(
                ch.Receipt(state=ch.Delivery.DELIVERED, client_reference=REFERENCE),
                ch.Receipt(state=ch.Delivery.EXPIRED, provider_id="6", client_reference="other"),
            ),
        )
        for where, body in (("in a list", TWO), ("in data", {"data": TWO}))
    ),
    HookExample(
        promise="one in a form",
        hook=hook(form={"msg_id": "12345", "status": "DELIVERED"}, query={"ref": REFERENCE}),
        says=says(ch.Delivery.DELIVERED),
    ),
    HookExample(promise="a state nobody knows", hook=status("DREAMING"), says=()),
)
COMMON: dict[str, Any] = {
    "settings": {"api_key": KEY, "sender": "Shop", "webhook_token": TOKEN},
    "secrets": (KEY, TOKEN),
    "secret": TOKEN,
    "sign": log_in,
    "proof": "authorization",
    "signs_body": False,
    "rotates": "webhook_token",
    "receipt_of": receipt_of,
    "replies": (
        ReplyExample(
            promise="taken, with a number as id",
            reply=answer(True, data={"id": REFERENCE, "msg_id": 12345, "parts": 1}),
            outcome=ch.Accepted("12345"),
        ),
        *refused("Access denied", R.REFUSED_CONFIGURATION),
        *refused("Not enough balance", R.REFUSED_CONFIGURATION),
        *refused("Unknown signature", R.REFUSED_CONFIGURATION, personal=True),
        *refused("Text is too long for this sender", R.REFUSED_CONFIGURATION, personal=True),
        *(
            example
            for text in (
                "Internal error, try again later",
                "Service temporarily unavailable",
                "Sender queue timeout",
            )
            for example in meant(text, ch.Unknown(R.SERVER_ERROR, None, text))
        ),
        *refused("Wrong phone", R.REFUSED_RECIPIENT),
        *refused("Please enter SMS text", R.REFUSED_CONTENT),
        ReplyExample(
            promise="no success and no reason",
            reply=answer(False),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        ReplyExample(
            promise="taken without an id",
            reply=answer(True),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
    ),
    "forged": (changed(hook(query={"token": "wrong"})), changed(hook(query={"token": ""}))),
}
HEADERS = {"Content-Type": "application/json"}

EXAMPLES = Examples(
    adapter="alphasms_sms",
    **COMMON,
    requests=(
        RequestExample(
            promise="a text in Cyrillic as it stands",
            message=outgoing(),
            url=URL,
            headers=HEADERS,
            json=request("sms", 600, sms_message="Ваш кошик чекає"),
        ),
    ),
    hooks=HOOKS,
)
