"""Mailgun on the wire: messages, signed webhooks."""

from __future__ import annotations

import hmac
import json
import urllib.parse
from functools import partial
from typing import Any

from kaskad_testing import (
    NOW,
    REFERENCE,
    Examples,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    reply,
)
from orchestrator import channels as ch
from tests.adapters import mails

R, D, E = ch.Reason, ch.Delivery, ch.Engagement
KEY, SIGNING = "mailgun-api-key-canary", "mailgun-signing-key-canary"
ID = f"{REFERENCE}@shop.example.com"
URL = "https://api.mailgun.net/v3/mg.shop.example.com/messages"
says = partial(mails.says, id=ID, at=NOW)


def event(word: str, **fields: Any) -> ch.Webhook:
    data = {
        "event": word,
        "id": "CPgfbmQMTCKtHW6uIWtuVe",
        "timestamp": NOW,
        "recipient": mails.TO,
        "message": {"headers": {"message-id": ID}},
        "user-variables": {"ref": REFERENCE},
        **fields,
    }
    return hook(json_body={"event-data": data})


def failed(severity: str, reason: str = "bounce", **status: Any) -> ch.Webhook:
    found = {"code": 550, "message": "", "attempt-no": 1, **status}
    return event("failed", severity=severity, reason=reason, **{"delivery-status": found})


def seen(word: str, agent: str, **more: Any) -> ch.Webhook:
    return event(word, **{"client-info": {"user-agent": agent, **more}})


def sign(unsigned: ch.Webhook, secret: str, at: float | None = None) -> ch.Webhook:
    timestamp, token = str(int(at or unsigned.now)), "a" * 50
    found = hmac.new(secret.encode(), f"{timestamp}{token}".encode(), "sha256").hexdigest()
    proof = {"timestamp": timestamp, "token": token, "signature": found}
    return changed(unsigned, json.dumps({"signature": proof, **unsigned.json()}).encode())


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    form = dict(urllib.parse.parse_qsl(call.body.decode()))
    return event("delivered", **{"user-variables": {"ref": form["v:ref"]}})


FORM = {
    "from": mails.WRITTEN,
    "to": mails.TO,
    "subject": mails.SUBJECT,
    "text": mails.TEXT,
    "v:ref": REFERENCE,
}
AUTH = f"Basic {ch.login('api', KEY)}"

EXAMPLES = Examples(
    adapter="mailgun",
    settings={
        "api_key": KEY,
        "domain": "mg.shop.example.com",
        "from": mails.SENDER,
        "webhook_signing_key": SIGNING,
    },
    secrets=(KEY, SIGNING),
    secret=SIGNING,
    sign=sign,
    signs_body=False,
    rotates="webhook_signing_key",
    replay_seconds=86_400,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="text and HTML",
            message=mails.mail(),
            url=URL,
            headers={"Authorization": AUTH, "Content-Type": "application/x-www-form-urlencoded"},
            form={
                **FORM,
                "html": mails.HTML,
                **{f"h:{name}": value for name, value in mails.HEADERS.items()},
            },
        ),
        RequestExample(
            promise="a promotion that is unsubscribed with one click",
            message=mails.promotion(),
            url=URL,
            form={**FORM, **{f"h:{name}": value for name, value in mails.PROMOTED.items()}},
        ),
    ),
    replies=(
        ReplyExample(
            promise="taken",
            reply=reply(200, {"id": f"<{ID}>", "message": "Queued. Thank you."}),
            outcome=ch.Accepted(ID),
        ),
        ReplyExample(
            promise="a wrong URL",
            reply=reply(200, b"Mailgun Magnificent API"),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "wrong_url"),
        ),
        ReplyExample(
            promise="an address that is none",
            reply=reply(400, {"message": "to parameter is not a valid address. please check"}),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "400"),
        ),
        ReplyExample(
            promise="another bad request",
            reply=reply(400, {"message": "Need at least one of 'text' or 'html'"}),
            outcome=ch.Refused(R.REFUSED_CONTENT, "400"),
        ),
        *(
            ReplyExample(
                promise=f"{status} {words}",
                reply=reply(status, {"message": words}),
                outcome=ch.Refused(R.REFUSED_CONFIGURATION, str(status)),
            )
            for status, words in (
                (401, "Forbidden"),
                (402, "Payment required"),
                (403, "Forbidden"),
                (404, "Domain not found: mg.shop.example.com"),
            )
        ),
        ReplyExample(
            promise="too fast",
            reply=reply(429, {"message": "Too many requests"}, retry_after="9"),
            outcome=ch.NotSent(R.THROTTLED, 9000, "429"),
        ),
        ReplyExample(
            promise="a server error says nothing",
            reply=reply(500, {"message": "Internal"}),
            outcome=ch.Unknown(R.SERVER_ERROR, "500"),
        ),
    ),
    hooks=(
        says("accepted is queued", event("accepted"), None),
        says("delivered", event("delivered"), D.DELIVERED),
        says("a passing failure is still being tried", failed("temporary"), None),
        says(
            "a hard bounce",
            failed("permanent", message="5.1.1 no such user"),
            D.FAILED,
            ch.Refused(R.REFUSED_ADDRESS, "5.1.1"),
        ),
        *(
            says(
                f"a hard bounce by {code} marks nobody",
                failed("permanent", message=words),
                D.FAILED,
                ch.Refused(R.REFUSED_RECIPIENT, code),
            )
            for code, words in mails.BLAMELESS
        ),
        says(
            "a hard bounce for its content",
            failed("permanent", message="5.6.1 no HTML here"),
            D.FAILED,
            ch.Refused(R.REFUSED_CONTENT, "5.6.1"),
        ),
        says(
            "bounced before",
            failed("permanent", "suppress-bounce"),
            D.REJECTED,
            ch.Refused(R.REFUSED_ADDRESS),
        ),
        *(
            says(reason, failed("permanent", reason), D.REJECTED, ch.Refused(R.REFUSED_OPTED_OUT))
            for reason in ("suppress-unsubscribe", "suppress-complaint")
        ),
        says(
            "rejected",
            event("rejected", reject={"reason": "virus"}),
            D.REJECTED,
            ch.Refused(R.REFUSED_RECIPIENT),
        ),
        says("read", seen("opened", mails.PERSON), E.READ),
        says("opened by a proxy", seen("opened", mails.MACHINE), None),
        says("opened by Apple's proxy", seen("opened", "Mozilla/5.0", bot="apple"), None),
        says("clicked", seen("clicked", mails.PERSON), E.CLICKED),
        says("complained", event("complained"), E.COMPLAINED),
        says("unsubscribed", event("unsubscribed"), E.UNSUBSCRIBED),
    ),
    forged=(sign(event("delivered"), SIGNING, NOW - 30_000),),
)
