"""TurboSMS on the wire: message/send for SMS and Viber, callbacks."""

from __future__ import annotations

import hashlib
from typing import Any

from kaskad_testing import (
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
TOKEN, SECRET = "turbosms-token-canary", "turbosms-secret-canary"
ID = "f83f8868-5e46-c6cf-e4fb-615e5a293754"
URL = "https://api.turbosms.ua/message/send.json"
EVENT = "0b5c9a52-event"


def item(code: int, id: str | None = None, words: str = "NO") -> dict[str, Any]:
    return {
        "phone": "380501234567",
        "response_code": code,
        "message_id": id,
        "response_status": words,
    }


def answer(whole: int, *items: dict[str, Any]) -> ch.HttpReply:
    body = {"response_code": whole, "response_status": "WHOLE", "response_result": list(items)}
    return reply(200, body if items else {**body, "response_result": None})


def refused(text: str, reason: R) -> list[ReplyExample]:
    """Each code, once as an item's and once as that of the whole answer."""
    return [
        ReplyExample(promise=f"{where} {code} is {reason}", reply=given, outcome=meant)
        for code in map(int, text.split())
        for meant in (ch.Refused(reason, str(code)),)
        for where, given in (("item", answer(802, item(code))), ("answer", answer(code)))
    ]


def uncertain(code: int) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} says nothing",
        reply=answer(802, item(code)),
        outcome=ch.Unknown(R.SERVER_ERROR, str(code)),
    )


def again(whole: int, code: int, id: str | None) -> ReplyExample:
    return ReplyExample(
        promise=f"{whole} {code} was taken before",
        reply=answer(whole, item(code, id)),
        outcome=ch.Accepted(id, duplicate=True),
    )


def callback(status: str, **more: Any) -> ch.Webhook:
    body = {"event_id": EVENT, "message_id": ID, "status": status, "phone": "380501234567"}
    return hook(json_body={**body, **more})


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    """The signature stands in the body, over the key and the event's id."""
    signature = hashlib.sha1(f"{secret}{EVENT}".encode()).hexdigest()
    return changed(unsigned, ch.json_bytes({**unsigned.json(), "signature": signature}))


def says(state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None) -> Any:
    return (ch.Receipt(state=state, provider_id=ID, failure=failure),)


REPLIES = (
    *(
        ReplyExample(
            promise=f"item {code} of answer {whole} is taken",
            reply=answer(whole, item(code, ID, "OK")),
            outcome=ch.Accepted(ID),
        )
        for whole, code in ((801, 0), (800, 800), (802, 0), (803, 803), (0, 0))
    ),
    again(507, 0, ID),
    again(507, 407, None),
    *(
        ReplyExample(
            promise=f"a repeat of what {code} refused is refused",
            reply=answer(507, item(code)),
            outcome=ch.Refused(reason, str(code)),
        )
        for code, reason in ((404, R.REFUSED_OPTED_OUT), (305, R.REFUSED_ADDRESS))
    ),
    ReplyExample(
        promise="a repeat of what may have left says no more",
        reply=answer(507, item(503)),
        outcome=ch.Unknown(R.SERVER_ERROR, "503"),
    ),
    ReplyExample(
        promise="a repeat without the earlier result was taken",
        reply=answer(507),
        outcome=ch.Accepted(None, duplicate=True),
    ),
    again(802, 427, None),
    again(802, 407, None),
    *refused("305", R.REFUSED_ADDRESS),
    *refused("107 406 422", R.REFUSED_RECIPIENT),
    *refused("404", R.REFUSED_OPTED_OUT),
    *refused("103 105 106 301 200 302 400 401 415 421 203 425 426", R.REFUSED_CONFIGURATION),
    *refused("104 201 202 204 205 206 300 303 304 306 307 308 309 310 311", R.REFUSED_CONTENT),
    *refused("312 313 402 403 405 408 409 410 411 412 413 414 416 417 418", R.REFUSED_CONTENT),
    *refused("419 420 423 424", R.REFUSED_CONTENT),
    *map(uncertain, (500, 501, 502, 503, 504, 505, 506, 999)),
    ReplyExample(
        promise="a taken code without an id proves nothing",
        reply=answer(801, item(0)),
        outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
    ),
    ReplyExample(
        promise="two items for one message",
        reply=answer(801, item(0, ID), item(0, ID)),
        outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
    ),
    ReplyExample(
        promise="a code nobody knows",
        reply=answer(802, item(777)),
        outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
    ),
)
FAILED_STATES = {
    "Undelivered": ch.Delivery.FAILED,
    "UNDELIV": ch.Delivery.FAILED,
    "Failed": ch.Delivery.FAILED,
    "Rejected": ch.Delivery.REJECTED,
    "REJECTD": ch.Delivery.REJECTED,
    "Cancelled": ch.Delivery.CANCELLED,
    "Expired": ch.Delivery.EXPIRED,
    "EXPIRED": ch.Delivery.EXPIRED,
}
STATES = {
    "In Queue": ch.Delivery.SENT,
    "In Process": ch.Delivery.SENT,
    "Sent": ch.Delivery.SENT,
    "Delivered": ch.Delivery.DELIVERED,
    "DELIVRD": ch.Delivery.DELIVERED,
    **FAILED_STATES,
}
HOOKS = (
    *(
        HookExample(promise=f"{word} is {state}", hook=callback(word), says=says(state))
        for word, state in STATES.items()
    ),
    HookExample(promise="a state nobody knows", hook=callback("Dreaming"), says=()),
)
COMMON: dict[str, Any] = {
    "settings": {"token": TOKEN, "sender": "Shop", "webhook_secret": SECRET},
    "secrets": (TOKEN, SECRET),
    "secret": SECRET,
    "sign": sign,
    "signs_body": False,
    "rotates": "webhook_secret",
    "replies": REPLIES,
    "forged": (callback("Delivered"), callback("Delivered", signature="0" * 40)),
}
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def request(channel: str, **block: Any) -> dict[str, Any]:
    return {
        "recipients": ["380501234567"],
        channel: {"sender": "Shop", **block},
        "sequence_id": "0123456789abcdef0123456789abcdef",
    }


EXAMPLES = Examples(
    adapter="turbosms_sms",
    **COMMON,
    requests=(
        RequestExample(
            promise="a text in Cyrillic as it stands",
            message=outgoing(),
            url=URL,
            headers=HEADERS,
            json=request("sms", text="Ваш кошик чекає"),
        ),
    ),
    hooks=HOOKS,
)
