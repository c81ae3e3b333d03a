"""SendGrid on the wire: mail/send, signed batches of events."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache, partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kaskad_testing import (
    NOW,
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    reply,
)
from orchestrator import channels as ch
from tests.adapters import mails

R, D, E = ch.Reason, ch.Delivery, ch.Engagement
KEY, SIGNER = "SG.sendgrid-api-key-canary", "sendgrid"
ID = "wrfRRvF7Q0GgwUo2CvDmEA"
URL = "https://api.sendgrid.com/v3/mail/send"
P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
says = partial(mails.says, id=ID, at=NOW)


@cache
def private(name: str) -> ec.EllipticCurvePrivateKey:
    """A private key that follows from a name."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
    return ec.derive_private_key(number % (P256 - 1) + 1, ec.SECP256R1())


def public(name: str) -> str:
    der = private(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


@cache
def signature(name: str, signed: bytes) -> str:
    """The same signature for the same bytes, as a webhook that comes again has it."""
    found = private(name).sign(signed, ec.ECDSA(SHA256()))
    return base64.b64encode(found).decode()


def sign(unsigned: ch.Webhook, secret: str, at: float | None = None) -> ch.Webhook:
    timestamp = str(int(at or unsigned.now))
    return changed(
        unsigned,
        x_twilio_email_event_webhook_timestamp=timestamp,
        x_twilio_email_event_webhook_signature=signature(
            secret, timestamp.encode() + unsigned.body
        ),
    )


def event(word: str, **fields: Any) -> ch.Webhook:
    return hook(json_body=[one(word, **fields)])


def one(word: str, **fields: Any) -> dict[str, Any]:
    return {
        "email": mails.TO,
        "timestamp": int(NOW),
        "smtp-id": "<x@y>",
        "sg_event_id": "ZyjAM5rnQmuI1KFInHQ3Nw",
        "sg_message_id": f"{ID}.filter0425p1mdw1.13037.57168B4A1D.0",
        "event": word,
        "ref": REFERENCE,
        **fields,
    }


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    person = json.loads(call.body)["personalizations"][0]
    return event("delivered", response="250 ok", **person["custom_args"])


def errors(status: int, words: str, field: str | None = None, **headers: str) -> ch.HttpReply:
    return reply(status, {"errors": [{"message": words, "field": field}]}, **headers)


BODY = {
    "personalizations": [{"to": [{"email": mails.TO}], "custom_args": {"ref": REFERENCE}}],
    "from": {"email": "hello@shop.example.com", "name": "Крамниця"},
    "subject": mails.SUBJECT,
}
PLAIN = {"type": "text/plain", "value": mails.TEXT}

EXAMPLES = Examples(
    adapter="sendgrid",
    settings={"api_key": KEY, "from": mails.SENDER, "webhook_public_key": public(SIGNER)},
    secrets=(KEY,),
    secret=SIGNER,
    sign=sign,
    proof="x-twilio-email-event-webhook-signature",
    replay_seconds=86_400,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="text and HTML",
            message=mails.mail(),
            url=URL,
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
            json={
                **BODY,
                "content": [PLAIN, {"type": "text/html", "value": mails.HTML}],
                "headers": mails.HEADERS,
            },
        ),
        RequestExample(
            promise="a promotion that is unsubscribed with one click",
            message=mails.promotion(),
            url=URL,
            json={**BODY, "content": [PLAIN], "headers": mails.PROMOTED},
        ),
    ),
    replies=(
        ReplyExample(
            promise="taken", reply=reply(202, b"", x_message_id=ID), outcome=ch.Accepted(ID)
        ),
        ReplyExample(
            promise="taken without an id proves nothing",
            reply=reply(202, b""),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "202"),
        ),
        ReplyExample(
            promise="an address that is none",
            reply=errors(400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "400"),
        ),
        ReplyExample(
            promise="a sender that is none",
            reply=errors(400, "The from email does not contain a valid address.", "from.email"),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "400"),
        ),
        *(
            ReplyExample(
                promise=f"{status} is {reason}",
                reply=errors(status, "No."),
                outcome=ch.Refused(reason, str(status)),
            )
            for status, reason in (
                (400, R.REFUSED_CONTENT),
                (413, R.REFUSED_CONTENT),
                (401, R.REFUSED_CONFIGURATION),
                (403, R.REFUSED_CONFIGURATION),
                (404, R.REFUSED_CONFIGURATION),
            )
        ),
        ReplyExample(
            promise="too fast",
            reply=errors(429, "too many requests", retry_after="9"),
            outcome=ch.NotSent(R.THROTTLED, 9000, "429"),
        ),
        ReplyExample(
            promise="a server error says nothing",
            reply=errors(500, "internal"),
            outcome=ch.Unknown(R.SERVER_ERROR, "500"),
        ),
    ),
    hooks=(
        says("processed is queued", event("processed"), None),
        says("deferred is still being tried", event("deferred", attempt="5"), None),
        says("delivered", event("delivered", response="250 ok"), D.DELIVERED),
        says(
            "a hard bounce",
            event("bounce", type="bounce", status="5.1.1", reason="550 5.1.1 no such user"),
            D.FAILED,
            ch.Refused(R.REFUSED_ADDRESS, "5.1.1"),
        ),
        *(
            says(
                f"a hard bounce by {code} marks nobody",
                event("bounce", type="bounce", status=code, reason=words),
                D.FAILED,
                ch.Refused(R.REFUSED_RECIPIENT, code),
            )
            for code, words in (*mails.BLAMELESS, ("4.4.7", "expired"))
        ),
        says(
            "a block marks nobody",
            event("bounce", type="blocked", status="5.1.1", reason="550 5.1.1 blocked"),
            D.FAILED,
            ch.Refused(R.REFUSED_RECIPIENT, "5.1.1"),
        ),
        *(
            says(
                f"dropped: {words}",
                event("dropped", reason=words),
                D.REJECTED,
                ch.Refused(reason),
            )
            for words, reason in (
                ("Bounced Address", R.REFUSED_ADDRESS),
                ("Invalid", R.REFUSED_ADDRESS),
                ("Unsubscribed Address", R.REFUSED_OPTED_OUT),
                ("Spam Reporting Address", R.REFUSED_OPTED_OUT),
                ("Recipient List over Package Quota", R.REFUSED_RECIPIENT),
            )
        ),
        says("read", event("open", useragent=mails.PERSON), E.READ),
        says("opened by a proxy", event("open", useragent=mails.MACHINE), None),
        says("opened by a machine", event("open", sg_machine_open=True), None),
        says("clicked", event("click", useragent=mails.PERSON, url="https://x.example"), E.CLICKED),
        says("complained", event("spamreport"), E.COMPLAINED),
        says("unsubscribed", event("unsubscribe"), E.UNSUBSCRIBED),
        says("left a group", event("group_unsubscribe"), E.UNSUBSCRIBED),
        says("joined a group again lifts no opt-out", event("group_resubscribe"), None),
        HookExample(
            promise="a batch, one of them strange",
            hook=hook(json_body=[one("delivered"), 5, {}, {"event": []}, one("processed")]),
            says=(
                ch.Receipt(state=D.DELIVERED, provider_id=ID, client_reference=REFERENCE, at=NOW),
            ),
        ),
    ),
    forged=(sign(event("delivered"), SIGNER, NOW - 90_000),),
)
