"""Meta's WhatsApp Cloud API on the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Literal

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
NUMBER = "106540352242922"
ACCESS, APP, VERIFY = "EAAB-access-token-canary", "app-secret-canary", "verify-token-canary"
WAMID, THEIRS = "wamid.HBgLMTY1", "wamid.IN"
SECONDS, AT = "1795600123", 1_795_600_123.0
URL = f"https://graph.facebook.com/v25.0/{NUMBER}/messages"
USER = "UA.13491208655302741918"

PRICE = {
    "type": "currency",
    "currency": {"fallback_value": "$1", "code": "USD", "amount_1000": 1000},
}
TEMPLATE = {
    "template": "order_update",
    "language": "uk",
    "header": {"image": "https://shop.example/p.jpg"},
    "body": ["Анна", 42, PRICE],
    "buttons": [{"url": "orders/42"}, {"quick_reply": "STOP"}, {"copy_code": "1234"}],
}


def button(index: int, kind: str, parameter: dict[str, str]) -> dict[str, Any]:
    return {"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameter]}


COMPONENTS = [
    {
        "type": "header",
        "parameters": [{"type": "image", "image": {"link": "https://shop.example/p.jpg"}}],
    },
    {
        "type": "body",
        "parameters": [{"type": "text", "text": "Анна"}, {"type": "text", "text": "42"}, PRICE],
    },
    button(0, "url", {"type": "text", "text": "orders/42"}),
    button(1, "quick_reply", {"type": "payload", "payload": "STOP"}),
    button(2, "copy_code", {"type": "coupon_code", "coupon_code": "1234"}),
]


def body(receiver: dict[str, str], **fields: Any) -> dict[str, Any]:
    fixed = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "biz_opaque_callback_data": REFERENCE,
    }
    return {**fixed, **receiver, **fields}


def templated(name: str, code: str, *components: Any) -> dict[str, Any]:
    found = {"name": name, "language": {"policy": "deterministic", "code": code}}
    return {
        "type": "template",
        "template": {**found, "components": list(components)} if components else found,
    }


def texted(text: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": text, "preview_url": False}}


def taken(**fields: Any) -> ch.HttpReply:
    contacts = [{"input": "+380501234567", "wa_id": "380501234567"}]
    message = {"id": WAMID, "message_status": "accepted", **fields}
    return reply(
        200, {"messaging_product": "whatsapp", "contacts": contacts, "messages": [message]}
    )


TAKEN = ch.Accepted(WAMID, known_as=(("phone", "+380501234567"),))


def error(
    status: int, code: int, details: str = "Why.", transient: bool = False, **headers: str
) -> ch.HttpReply:
    fault = {
        "message": f"(#{code}) Title",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "is_transient": transient,
        "fbtrace_id": "Az8x",
    }
    return reply(status, {"error": fault}, **headers)


def refused(
    code: int, reason: R, status: int = 400, details: str = "Why.", **more: Any
) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} is {reason} ({details})",
        reply=error(status, code, details),
        outcome=ch.Refused(reason, str(code), details, **more),
    )


def paused(code: int, status: int, reason: R, milliseconds: int, **headers: str) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} took nothing, {headers or 'without a pause of its own'}",
        reply=error(status, code, "Why.", False, **headers),
        outcome=ch.NotSent(reason, milliseconds, str(code), "Why."),
    )


def unknown(code: int, status: int = 500, transient: bool = False) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} says nothing",
        reply=error(status, code, transient=transient),
        outcome=ch.Unknown(R.SERVER_ERROR, str(code), "Why."),
    )


def envelope(number: str = NUMBER, *, kind: str = "messages", **value: Any) -> ch.Webhook:
    inner = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": number},
        **value,
    }
    entry = {"id": "102290129340398", "changes": [{"field": kind, "value": inner}]}
    return hook(json_body={"object": "whatsapp_business_account", "entry": [entry]})


def status(word: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": WAMID,
        "status": word,
        "timestamp": SECONDS,
        "recipient_id": "380501234567",
        "type": "message",
    }
    return {**known, "biz_opaque_callback_data": REFERENCE, **fields}


def failed(code: int) -> dict[str, Any]:
    fault = {"code": code, "title": "Title", "message": "Title", "error_data": {"details": "Why."}}
    return status("failed", errors=[fault])


def delivery(
    state: ch.Delivery | ch.Engagement,
    failure: ch.Refused | None = None,
    detail: str = "",
    **fields: Any,
) -> ch.Receipt:
    known: dict[str, Any] = {"provider_id": WAMID, "client_reference": REFERENCE, "at": AT}
    return ch.Receipt(state=state, failure=failure, detail=detail, **{**known, **fields})


def message(kind: str, **fields: Any) -> dict[str, Any]:
    return {"from": "380501234567", "id": THEIRS, "timestamp": SECONDS, "type": kind, **fields}


def wrote(text: str, **fields: Any) -> tuple[ch.Inbound]:
    known: dict[str, Any] = {"kind": "phone", "value": "+380501234567", "id": THEIRS, "at": AT}
    return (ch.Inbound(text=text, **{**known, **fields}),)


def reply_of(promise: str, kind: str, says: tuple[ch.Inbound, ...], **fields: Any) -> HookExample:
    return HookExample(
        promise=promise, hook=envelope(messages=[message(kind, **fields)]), says=says
    )


def preference(value: str, **fields: Any) -> dict[str, Any]:
    known = {
        "wa_id": "380501234567",
        "category": "marketing_messages",
        "value": value,
        "timestamp": SECONDS,
    }
    return {**known, "detail": "User requested it", **fields}


def prefers(kind: str, value: str, state: Literal["in", "out"]) -> ch.Preference:
    return ch.Preference(kind=kind, value=value, state=state, classes=("promotional",), at=AT)


def asks(**query: str) -> ch.Webhook:
    named = {f"hub.{name}": value for name, value in query.items()}
    return hook(method="GET", query=named)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    if unsigned.method == "GET":
        token = VERIFY if secret == APP else secret
        return hook(method="GET", query={**unsigned.query, "hub.verify_token": token})
    digest = hmac.new(secret.encode(), unsigned.body, hashlib.sha256).hexdigest()
    return changed(unsigned, x_hub_signature_256=f"sha256={digest}")


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """The status that Meta sends for a request."""
    sent = json.loads(call.body)
    return envelope(
        statuses=[status("delivered", biz_opaque_callback_data=sent["biz_opaque_callback_data"])]
    )


PHONE = {"to": "380501234567"}
ENDS = {"id": WAMID, "from": "15550783881"}

EXAMPLES = Examples(
    adapter="whatsapp_cloud",
    settings={
        "phone_number_id": NUMBER,
        "access_token": ACCESS,
        "app_secret": APP,
        "verify_token": VERIFY,
    },
    secrets=(ACCESS, APP, VERIFY),
    secret=APP,
    sign=sign,
    proof="x-hub-signature-256",
    rotates="app_secret",
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a template with everything in it",
            message=outgoing(content={"yaml": TEMPLATE}),
            url=URL,
            headers={"Authorization": f"Bearer {ACCESS}", "Content-Type": "application/json"},
            json=body(PHONE, **templated("order_update", "uk", *COMPONENTS)),
        ),
        RequestExample(
            promise=(
                "named parameters, and the recipient's locale where the template names no language"
            ),
            message=outgoing(
                content={
                    "yaml": {"template": "hello", "header": "Вітання", "body": {"name": "Анна"}}
                }
            ),
            url=URL,
            json=body(
                PHONE,
                **templated(
                    "hello",
                    "uk_UA",
                    {"type": "header", "parameters": [{"type": "text", "text": "Вітання"}]},
                    {
                        "type": "body",
                        "parameters": [{"parameter_name": "name", "type": "text", "text": "Анна"}],
                    },
                ),
            ),
        ),
        RequestExample(
            promise="a template outside the session even where there is a text",
            message=outgoing(
                content={"yaml": {"template": "hello", "language": "uk"}, "text": "Вітаємо"}
            ),
            url=URL,
            json=body(PHONE, **templated("hello", "uk")),
        ),
        RequestExample(
            promise="the text inside the session",
            message=outgoing(
                content={"yaml": {"template": "hello"}, "text": "Вітаємо"}, in_session=True
            ),
            url=URL,
            json=body(PHONE, **texted("Вітаємо")),
        ),
        RequestExample(
            promise="the template inside the session where there is no text",
            message=outgoing(
                content={"yaml": {"template": "hello", "language": "uk"}}, in_session=True
            ),
            url=URL,
            json=body(PHONE, **templated("hello", "uk")),
        ),
        RequestExample(
            promise="Meta's user id where a phone is unknown",
            message=outgoing("whatsapp_id", USER, content={"text": "Вітаємо"}, in_session=True),
            url=URL,
            json=body({"recipient": USER}, **texted("Вітаємо")),
        ),
    ),
    replies=(
        ReplyExample(promise="accepted", reply=taken(), outcome=TAKEN),
        ReplyExample(
            promise="held for a look at its quality",
            reply=taken(message_status="held_for_quality_assessment"),
            outcome=TAKEN,
        ),
        ReplyExample(
            promise="no id", reply=taken(id=""), outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200")
        ),
        refused(131026, R.REFUSED_ADDRESS, suppress_after=2),
        refused(131050, R.REFUSED_OPTED_OUT, classes=("promotional",)),
        refused(131049, R.REFUSED_RECIPIENT),
        refused(130472, R.REFUSED_RECIPIENT),
        refused(131021, R.REFUSED_RECIPIENT),
        refused(131047, R.REFUSED_CONTENT),
        refused(131009, R.REFUSED_CONTENT, details="Unable to read the parameter body"),
        refused(131009, R.REFUSED_RECIPIENT, details="Parameter 'to' is not a phone number"),
        refused(132001, R.REFUSED_CONTENT, status=404),
        refused(132077, R.REFUSED_CONTENT),
        refused(190, R.REFUSED_CONFIGURATION, status=401),
        refused(0, R.REFUSED_CONFIGURATION, status=401),
        refused(230, R.REFUSED_CONFIGURATION, status=403),
        refused(131042, R.REFUSED_CONFIGURATION),
        refused(368, R.REFUSED_CONFIGURATION, status=403),
        paused(130429, 403, R.THROTTLED, 2000),
        paused(131056, 403, R.THROTTLED, 6000),
        paused(131056, 429, R.THROTTLED, 9000, retry_after="9"),
        paused(4, 400, R.THROTTLED, 60_000),
        paused(131057, 400, R.NOT_TAKEN, 60_000),
        paused(132069, 400, R.THROTTLED, 60_000),
        paused(131048, 400, R.THROTTLED, 3_600_000),
        unknown(1),
        unknown(2, status=503),
        unknown(131000),
        unknown(131016, status=400),
        unknown(199999, status=400, transient=True),
        ReplyExample(
            promise="a code nobody knows goes by its status",
            reply=error(400, 199999),
            outcome=ch.Refused(R.REFUSED_CONTENT, "199999", "Why."),
        ),
        ReplyExample(
            promise="a good status with an error in it was refused",
            reply=error(200, 131026),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "131026", "Why.", suppress_after=2),
        ),
        ReplyExample(
            promise="the token it quotes is masked",
            reply=reply(
                401, {"error": {"message": f"Malformed access token {ACCESS}", "code": 190}}
            ),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "190", "Malformed access token ***"),
        ),
    ),
    hooks=(
        HookExample(
            promise="Meta asks whether the address is ours",
            hook=asks(mode="subscribe", challenge="115820"),
            says=(),
        ),
        HookExample(
            promise="sent",
            hook=envelope(statuses=[status("sent")]),
            says=(delivery(ch.Delivery.SENT),),
        ),
        HookExample(
            promise="delivered and read in one call",
            hook=envelope(statuses=[status("delivered"), status("read")]),
            says=(delivery(ch.Delivery.DELIVERED), delivery(ch.Engagement.READ)),
        ),
        HookExample(
            promise="played is read, and milliseconds are no year 58000",
            hook=envelope(statuses=[status("played", timestamp=SECONDS + "000")]),
            says=(delivery(ch.Engagement.READ),),
        ),
        HookExample(
            promise="a status without our reference is found by its id",
            hook=envelope(
                statuses=[status("sent", biz_opaque_callback_data=None, recipient_id="")]
            ),
            says=(delivery(ch.Delivery.SENT, client_reference=None),),
        ),
        HookExample(
            promise="deleted reports nothing", hook=envelope(statuses=[status("deleted")]), says=()
        ),
        HookExample(
            promise="undeliverable",
            hook=envelope(statuses=[failed(131026)]),
            says=(
                delivery(
                    ch.Delivery.FAILED,
                    ch.Refused(R.REFUSED_ADDRESS, "131026", suppress_after=2),
                    detail="131026 Why.",
                ),
            ),
        ),
        HookExample(
            promise="failed because marketing was stopped",
            hook=envelope(statuses=[failed(131050)]),
            says=(
                delivery(
                    ch.Delivery.FAILED,
                    ch.Refused(R.REFUSED_OPTED_OUT, "131050", classes=("promotional",)),
                ),
            ),
        ),
        HookExample(
            promise="failed for a reason that says nothing",
            hook=envelope(statuses=[failed(131000)]),
            says=(delivery(ch.Delivery.FAILED, detail="131000 Why."),),
        ),
        HookExample(
            promise="another number's status is not ours",
            hook=envelope("999", statuses=[status("delivered")]),
            says=(),
        ),
        HookExample(
            promise="another number's messages and preferences are not ours",
            hook=envelope(
                "999",
                messages=[message("text", text={"body": "hi"})],
                user_preferences=[preference("stop")],
            ),
            says=(),
        ),
        reply_of("a text", "text", wrote("Так"), text={"body": "Так"}),
        reply_of(
            "a pressed button answers ours",
            "button",
            wrote("Беру", answers=(WAMID,), clicked=True, choice="TAKE"),
            button={"payload": "TAKE", "text": "Беру"},
            context=ENDS,
        ),
        reply_of(
            "a translated stop button is a stop",
            "button",
            wrote("Відписатися", answers=(WAMID,), clicked=True, keyword="stop", choice="STOP"),
            button={"payload": "STOP", "text": "Відписатися"},
            context=ENDS,
        ),
        reply_of(
            "a chosen reply answers ours",
            "interactive",
            wrote("Так", answers=(WAMID,), clicked=True, choice="yes"),
            interactive={"type": "button_reply", "button_reply": {"id": "yes", "title": "Так"}},
            context=ENDS,
        ),
        reply_of(
            "a quoted text is a reply and no click",
            "text",
            wrote("Дякую", answers=(WAMID,)),
            text={"body": "Дякую"},
            context=ENDS,
        ),
        reply_of(
            "a picture is a message too",
            "image",
            wrote("", media=(ch.InboundMedia(kind="image", reference="1"),)),
            image={"id": "1", "mime_type": "image/jpeg"},
        ),
        reply_of(
            "a reaction is none", "reaction", (), reaction={"message_id": WAMID, "emoji": "👍"}
        ),
        HookExample(
            promise="a person who is known by Meta's id only",
            hook=envelope(
                messages=[
                    {**message("text", text={"body": "hi"}), "from": "", "from_user_id": USER}
                ]
            ),
            says=wrote("hi", kind="whatsapp_id", value=USER),
        ),
        *(
            reply_of(
                f"a reaction ({emoji!r}) or its end is no reply, whatever it resembles",
                "reaction",
                (),
                reaction={"message_id": WAMID, "emoji": emoji},
            )
            for emoji in ("\U0001f6d1", "\u26d4", "STOP", "")
        ),
        HookExample(
            promise="marketing is stopped",
            hook=envelope(
                kind="user_preferences", user_preferences=[preference("stop", user_id=USER)]
            ),
            says=(prefers("phone", "+380501234567", "out"), prefers("whatsapp_id", USER, "out")),
        ),
        HookExample(
            promise="marketing is resumed",
            hook=envelope(kind="user_preferences", user_preferences=[preference("resume")]),
            says=(prefers("phone", "+380501234567", "in"),),
        ),
        HookExample(
            promise="another preference is not ours to read",
            hook=envelope(
                kind="user_preferences", user_preferences=[preference("stop", category="calls")]
            ),
            says=(),
        ),
    ),
    forged=(
        asks(mode="subscribe", challenge="1", verify_token="guess"),
        asks(mode="subscribe", challenge="1"),
        asks(mode="unsubscribe", challenge="1", verify_token=VERIFY),
    ),
)
