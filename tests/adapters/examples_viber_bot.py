"""The Viber bot API on the wire."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from kaskad_testing import (
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
TOKEN = "4453b6ac12345678-bot-token-canary"
USER = "01234567890A="
MESSAGE = 5741311803571721087
AT_MS, AT = 1_795_600_123_456, 1_795_600_123.456
URL = "https://chatapi.viber.com/pa/send_message"


def message(text: str, **extra: Any) -> ch.Outgoing:
    content = {"text": text, "yaml": extra} if extra else {"text": text}
    return outgoing("viber_bot_id", USER, content=content)


def body(**fields: Any) -> dict[str, Any]:
    return {
        "receiver": USER,
        "min_api_version": 1,
        "sender": {"name": "Shop", "avatar": "https://shop.example/a.png"},
        "tracking_data": REFERENCE,
        "type": "text",
        **fields,
    }


KEYBOARD = {
    "Type": "keyboard",
    "DefaultHeight": False,
    "Buttons": [
        {
            "Columns": 6,
            "Rows": 1,
            "ActionType": "open-url",
            "ActionBody": "https://shop.example/cart?a=1&b=2",
            "Text": "Кошик &lt;3",
            "TextSize": "regular",
        }
    ],
}
BUTTON = {"title": "Кошик <3", "url": "https://shop.example/cart?a=1&b=2"}
IMAGE = "https://shop.example/p.jpg"


def verdict(status: int, words: str = "no", **fields: Any) -> ch.HttpReply:
    return reply(
        200, {"status": status, "status_message": words, "chat_hostname": "SN-CHAT-05_", **fields}
    )


def refused(status: int, reason: R) -> ReplyExample:
    return ReplyExample(
        promise=f"{status} is {reason}",
        reply=verdict(status),
        outcome=ch.Refused(reason, str(status), "no"),
    )


def event(name: str, **fields: Any) -> ch.Webhook:
    return hook(json_body={"event": name, "timestamp": AT_MS, "message_token": MESSAGE, **fields})


def receipts_of(state: ch.Delivery | ch.Engagement, detail: str = "") -> tuple[ch.Receipt]:
    return (ch.Receipt(state=state, provider_id=str(MESSAGE), at=AT, detail=detail),)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    digest = hmac.new(secret.encode(), unsigned.body, hashlib.sha256).hexdigest()
    return changed(unsigned, x_viber_content_signature=digest)


EXAMPLES = Examples(
    adapter="viber_bot",
    settings={"auth_token": TOKEN, "sender": "Shop", "avatar": "https://shop.example/a.png"},
    secrets=(TOKEN,),
    secret=TOKEN,
    sign=sign,
    proof="x-viber-content-signature",
    rotates="auth_token",
    requests=(
        RequestExample(
            promise="a text",
            message=message("Вітаємо"),
            url=URL,
            headers={"X-Viber-Auth-Token": TOKEN, "Content-Type": "application/json"},
            json=body(text="Вітаємо"),
        ),
        RequestExample(
            promise="an image is a picture with the text as its caption",
            message=message("Вітаємо", image=IMAGE),
            url=URL,
            json=body(type="picture", text="Вітаємо", media=IMAGE),
        ),
        RequestExample(
            promise="a button is a keyboard, its title escaped",
            message=message("Вітаємо", image=IMAGE, button=BUTTON),
            url=URL,
            json=body(type="picture", text="Вітаємо", media=IMAGE, keyboard=KEYBOARD),
        ),
        RequestExample(
            promise="a text that is no caption keeps its button and loses its image",
            message=message("я" * 513, image=IMAGE, button=BUTTON),
            url=URL,
            json=body(text="я" * 513, keyboard=KEYBOARD),
        ),
    ),
    replies=(
        ReplyExample(
            promise="the token is kept to its last digit",
            reply=verdict(0, "ok", message_token=MESSAGE),
            outcome=ch.Accepted("5741311803571721087"),
        ),
        ReplyExample(
            promise="ok without a token",
            reply=verdict(0, "ok"),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        ReplyExample(
            promise="a token that a float has spoilt",
            reply=verdict(0, "ok", message_token=5.741311803571721e18),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
        refused(5, R.REFUSED_ADDRESS),
        refused(6, R.REFUSED_OPTED_OUT),
        refused(11, R.REFUSED_RECIPIENT),
        refused(13, R.REFUSED_RECIPIENT),
        refused(21, R.REFUSED_RECIPIENT),
        refused(3, R.REFUSED_CONTENT),
        refused(14, R.REFUSED_CONTENT),
        refused(2, R.REFUSED_CONFIGURATION),
        refused(10, R.REFUSED_CONFIGURATION),
        refused(24, R.REFUSED_CONFIGURATION),
        ReplyExample(
            promise="too fast took nothing",
            reply=verdict(12, "tooManyRequests"),
            outcome=ch.NotSent(R.THROTTLED, None, "12", "tooManyRequests"),
        ),
        ReplyExample(
            promise="too many to one user is that user's limit",
            reply=verdict(
                12, "maximum messages from Public Account to Viber user without reply exceeded"
            ),
            outcome=ch.Refused(R.REFUSED_RECIPIENT, "12"),
        ),
        ReplyExample(
            promise="a general error says nothing",
            reply=verdict(99, "generalError"),
            outcome=ch.Unknown(R.SERVER_ERROR, "99", "generalError"),
        ),
    ),
    hooks=(
        HookExample(
            promise="delivered",
            hook=event("delivered", user_id=USER),
            says=receipts_of(ch.Delivery.DELIVERED),
        ),
        HookExample(
            promise="seen is read",
            hook=event("seen", user_id=USER),
            says=receipts_of(ch.Engagement.READ),
        ),
        HookExample(
            promise="failed, in Viber's words",
            hook=event("failed", user_id=USER, desc="failure description"),
            says=receipts_of(ch.Delivery.FAILED, "failure description"),
        ),
        HookExample(
            promise="unsubscribed opts out",
            hook=event("unsubscribed", user_id=USER),
            says=(ch.Preference(kind="viber_bot_id", value=USER, state="out", at=AT),),
        ),
        HookExample(
            promise="subscribed opts in",
            hook=event(
                "subscribed", user={"id": USER, "name": "Олена", "country": "UA", "api_version": 8}
            ),
            says=(ch.Preference(kind="viber_bot_id", value=USER, state="in", at=AT),),
        ),
        HookExample(
            promise="a message answers ours",
            hook=event(
                "message",
                sender={"id": USER, "name": "Олена"},
                message={"type": "text", "text": "Так", "tracking_data": REFERENCE},
            ),
            says=(
                ch.Inbound(
                    kind="viber_bot_id",
                    value=USER,
                    text="Так",
                    id=str(MESSAGE),
                    answers=(REFERENCE,),
                    at=AT,
                ),
            ),
        ),
        HookExample(
            promise="an opened conversation is no subscription",
            hook=event("conversation_started", type="open", subscribed=False, user={"id": USER}),
            says=(),
        ),
        HookExample(
            promise="a conversation opened by a link of ours",
            hook=event(
                "conversation_started",
                type="open",
                context="AbC-_123",
                subscribed=False,
                user={"id": USER},
            ),
            says=(ch.Linked(kind="viber_bot_id", value=USER, token="AbC-_123", at=AT),),
        ),
        HookExample(promise="the call that sets the webhook", hook=event("webhook"), says=()),
        HookExample(promise="an event nobody knows", hook=event("danced", user_id=USER), says=()),
    ),
)
