"""Twilio on the wire: Messages resource, status callbacks, inbound messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.parse
from typing import Any

from kaskad_testing import (
    NOW,
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
ACCOUNT, TOKEN = "AC0123456789abcdef0123456789abcdef", "twilio-auth-token-canary"
SID = "SM9f2c0000000000000000000000000001"
LOGIN = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
MIDNIGHT_MS = int((86_400 - NOW % 86_400) * 1000)


def created(**fields: Any) -> ch.HttpReply:
    body = {
        "sid": SID,
        "status": "queued",
        "num_segments": "1",
        "error_code": None,
        "error_message": None,
        "price": None,
    }
    return reply(201, {**body, **fields})


def error(status: int, code: int, message: str = "No.", **headers: str) -> ch.HttpReply:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return reply(status, body, **headers)


def refused(code: int, status: int, reason: R, **more: Any) -> ReplyExample:
    return ReplyExample(
        promise=f"{code} is {reason}",
        reply=error(status, code),
        outcome=ch.Refused(reason, str(code), "No.", **more),
    )


def callback(status: str, **fields: str) -> ch.Webhook:
    form = {
        "MessageSid": SID,
        "SmsSid": SID,
        "MessageStatus": status,
        "AccountSid": ACCOUNT,
        "To": "+380501234567",
    }
    return hook(
        form={**form, "From": "+15550001111", "ApiVersion": "2010-04-01", **fields},
        query={"ref": REFERENCE},
    )


def incoming(text: str, **fields: str) -> ch.Webhook:
    form = {
        "MessageSid": "SM77",
        "SmsSid": "SM77",
        "SmsStatus": "received",
        "AccountSid": ACCOUNT,
        "NumMedia": "0",
    }
    return hook(
        form={**form, "From": "+380501234567", "To": "+15550001111", "Body": text, **fields}
    )


def receipts_of(
    state: ch.Delivery | ch.Engagement, failure: ch.Refused | None = None, detail: str = ""
) -> tuple[ch.Receipt]:
    return (
        ch.Receipt(
            state=state, provider_id=SID, client_reference=REFERENCE, failure=failure, detail=detail
        ),
    )


def wrote(text: str, keyword: str | None = None) -> tuple[ch.Inbound]:
    return (ch.Inbound(kind="phone", value="+380501234567", text=text, id="SM77", keyword=keyword),)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    """Sign as Twilio's documentation says: HMAC-SHA1 over the URL and the sorted fields."""
    fields = urllib.parse.parse_qs(unsigned.body.decode(), keep_blank_values=True)
    text = unsigned.url + "".join(
        name + value for name in sorted(fields) for value in sorted(set(fields[name]))
    )
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return changed(unsigned, x_twilio_signature=base64.b64encode(digest).decode())


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """Twilio posts to the StatusCallback of the request."""
    url = dict(urllib.parse.parse_qsl(call.body.decode()))["StatusCallback"]
    form = {"MessageSid": SID, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    made = hook(form=form, query=query)
    assert made.url == url
    return made


def form(**fields: str) -> dict[str, str]:
    return {
        "To": "+380501234567",
        "Body": "Ваш кошик чекає",
        "From": "+15550001111",
        "StatusCallback": f"{RECEIPT_URL}?ref={REFERENCE}",
        "ValidityPeriod": "600",
        **fields,
    }


URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
HEADERS = {"Authorization": f"Basic {LOGIN}", "Content-Type": ch.FORM}

EXAMPLES = Examples(
    adapter="twilio_sms",
    settings={"account_sid": ACCOUNT, "auth_token": TOKEN, "from": "+15550001111"},
    secrets=(TOKEN, LOGIN),
    secret=TOKEN,
    sign=sign,
    proof="x-twilio-signature",
    rotates="auth_token",
    receipt_of=receipt_of,
    requests=(
        RequestExample(promise="a text", message=outgoing(), url=URL, headers=HEADERS, form=form()),
        RequestExample(
            promise="a validity of ten hours at most",
            message=outgoing(ttl_seconds=86_400),
            url=URL,
            form=form(ValidityPeriod="36000"),
        ),
        RequestExample(
            promise="a validity of one second at least",
            message=outgoing(ttl_seconds=0),
            url=URL,
            form=form(ValidityPeriod="1"),
        ),
    ),
    replies=(
        ReplyExample(promise="queued", reply=created(), outcome=ch.Accepted(SID)),
        ReplyExample(
            promise="accepted", reply=created(status="accepted"), outcome=ch.Accepted(SID)
        ),
        ReplyExample(
            promise="created and failed at once for a known reason",
            reply=created(status="failed", error_code=30006),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "30006"),
        ),
        ReplyExample(
            promise="created and failed at once without a reason",
            reply=created(status="failed"),
            outcome=ch.Unknown(R.SERVER_ERROR, "failed"),
        ),
        ReplyExample(
            promise="a sid that is no message's",
            reply=created(sid=ACCOUNT),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "201"),
        ),
        refused(21610, 400, R.REFUSED_OPTED_OUT),
        refused(21211, 400, R.REFUSED_ADDRESS),
        refused(21614, 400, R.REFUSED_ADDRESS),
        refused(30003, 400, R.REFUSED_ADDRESS, suppress_after=3),
        refused(21612, 400, R.REFUSED_RECIPIENT),
        refused(20003, 401, R.REFUSED_CONFIGURATION),
        refused(20404, 404, R.REFUSED_CONFIGURATION),
        refused(21408, 400, R.REFUSED_CONFIGURATION, personal=True),
        refused(21617, 400, R.REFUSED_CONTENT),
        ReplyExample(
            promise="20429 took nothing",
            reply=error(429, 20429, "Too Many Requests", retry_after="2"),
            outcome=ch.NotSent(R.THROTTLED, 2000, "20429", "Too Many Requests"),
        ),
        ReplyExample(
            promise="a full queue took nothing",
            reply=error(400, 21611),
            outcome=ch.NotSent(R.THROTTLED, None, "21611"),
        ),
        ReplyExample(
            promise="a daily limit holds until midnight",
            reply=error(429, 63038),
            outcome=ch.NotSent(R.THROTTLED, MIDNIGHT_MS, "63038"),
        ),
        ReplyExample(
            promise="30008 says nothing",
            reply=error(400, 30008),
            outcome=ch.Unknown(R.SERVER_ERROR, "30008"),
        ),
        ReplyExample(
            promise="an unknown code goes by its status",
            reply=error(400, 29999),
            outcome=ch.Refused(R.REFUSED_CONTENT, "29999"),
        ),
        ReplyExample(
            promise="an unknown code of a 500 says nothing",
            reply=error(500, 20500),
            outcome=ch.Unknown(R.SERVER_ERROR, "20500"),
        ),
        ReplyExample(
            promise="the number it quotes is masked",
            reply=error(400, 21211, "The 'To' number +380501234567 is not valid"),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "21211", "The 'To' number *** is not valid"),
        ),
    ),
    hooks=(
        HookExample(promise="queued reports nothing", hook=callback("queued"), says=()),
        HookExample(
            promise="an unknown word reports nothing", hook=callback("teleported"), says=()
        ),
        HookExample(promise="sent", hook=callback("sent"), says=receipts_of(ch.Delivery.SENT)),
        HookExample(
            promise="delivered", hook=callback("delivered"), says=receipts_of(ch.Delivery.DELIVERED)
        ),
        HookExample(promise="read", hook=callback("read"), says=receipts_of(ch.Engagement.READ)),
        HookExample(
            promise="cancelled", hook=callback("canceled"), says=receipts_of(ch.Delivery.CANCELLED)
        ),
        HookExample(
            promise="undelivered to an unreachable handset",
            hook=callback("undelivered", ErrorCode="30003"),
            says=receipts_of(
                ch.Delivery.FAILED,
                ch.Refused(R.REFUSED_ADDRESS, "30003", suppress_after=3),
                "30003",
            ),
        ),
        HookExample(
            promise="undelivered for a reason that says nothing",
            hook=callback("undelivered", ErrorCode="30008"),
            says=receipts_of(ch.Delivery.FAILED, None, "30008"),
        ),
        HookExample(
            promise="failed by a daily limit",
            hook=callback("failed", ErrorCode="30023"),
            says=receipts_of(ch.Delivery.FAILED, ch.Refused(R.REFUSED_CONFIGURATION, "30023")),
        ),
        HookExample(promise="a reply", hook=incoming("Так, беру"), says=wrote("Так, беру")),
        HookExample(
            promise="a STOP that Twilio has read itself",
            hook=incoming("stop", OptOutType="STOP"),
            says=wrote("stop", "stop"),
        ),
        HookExample(
            promise="HELP is no keyword of ours",
            hook=incoming("help", OptOutType="HELP"),
            says=wrote("help"),
        ),
        HookExample(
            promise="a sender that is no phone",
            hook=incoming("hi", From="whatsapp:+380501234567"),
            says=(),
        ),
    ),
    forged=(
        sign(
            hook(
                form={
                    "MessageSid": SID,
                    "MessageStatus": "delivered",
                    "AccountSid": "AC" + "9" * 32,
                }
            ),
            TOKEN,
        ),
        sign(hook(form={"MessageSid": SID, "MessageStatus": "delivered"}), TOKEN),
        sign(changed(hook(body=b""), content_type="application/json"), TOKEN),
    ),
)
