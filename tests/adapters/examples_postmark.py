"""Postmark on the wire: email, webhooks by RecordType."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from kaskad_testing import (
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

R = ch.Reason
TOKEN, PASSWORD = "postmark-server-token-canary", "postmark-webhook-password-canary"
ID = "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"
AT, AT_SECONDS = "2026-11-25T10:00:01Z", 1_795_600_801.0
URL = "https://api.postmarkapp.com/email"
says = partial(mails.says, id=ID, at=AT_SECONDS)


def answer(status: int, code: int, words: str = "No.", **fields: Any) -> ch.HttpReply:
    return reply(status, {"ErrorCode": code, "Message": words, **fields})


def refused(text: str, reason: R, status: int = 422) -> list[ReplyExample]:
    return [
        ReplyExample(
            promise=f"{code} is {reason}",
            reply=answer(status, int(code)),
            outcome=ch.Refused(reason, code),
        )
        for code in text.split()
    ]


def event(record: str, **fields: Any) -> ch.Webhook:
    body = {
        "RecordType": record,
        "MessageID": ID,
        "Recipient": mails.TO,
        "Metadata": {"ref": REFERENCE},
        **fields,
    }
    return hook(json_body=body)


def bounce(kind: str, details: str = "") -> ch.Webhook:
    body = {"ID": 4323372036854775807, "Type": kind, "TypeCode": 1, "Email": mails.TO}
    return event("Bounce", **body, BouncedAt=AT, Details=details, Inactive=True)


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, authorization=f"Basic {ch.login('kaskad', secret)}")


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    return event("Delivery", DeliveredAt=AT, Metadata=json.loads(call.body)["Metadata"])


def listed(headers: dict[str, str]) -> list[dict[str, str]]:
    given = {**headers, "X-PM-KeepID": "true"}
    return [{"Name": name, "Value": value} for name, value in given.items()]


def dead(code: str | None) -> ch.Refused:
    return ch.Refused(R.REFUSED_ADDRESS, code)


BODY = {
    "From": mails.WRITTEN,
    "To": mails.TO,
    "ReplyTo": "help@shop.example.com",
    "Subject": mails.SUBJECT,
    "TextBody": mails.TEXT,
    "MessageStream": "broadcast",
    "Metadata": {"ref": REFERENCE},
}
D, E = ch.Delivery, ch.Engagement

EXAMPLES = Examples(
    adapter="postmark",
    settings={
        "server_token": TOKEN,
        "from": mails.SENDER,
        "reply_to": "help@shop.example.com",
        "message_stream": "broadcast",
        "webhook_username": "kaskad",
        "webhook_password": PASSWORD,
    },
    secrets=(TOKEN, PASSWORD),
    secret=PASSWORD,
    sign=sign,
    proof="authorization",
    signs_body=False,
    rotates="webhook_password",
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="text and HTML",
            message=mails.mail(),
            url=URL,
            headers={"X-Postmark-Server-Token": TOKEN, "Content-Type": "application/json"},
            json={**BODY, "HtmlBody": mails.HTML, "Headers": listed(mails.HEADERS)},
        ),
        RequestExample(
            promise="a promotion that is unsubscribed with one click",
            message=mails.promotion(),
            url=URL,
            json={**BODY, "Headers": listed(mails.PROMOTED)},
        ),
    ),
    replies=(
        ReplyExample(
            promise="taken",
            reply=answer(200, 0, "OK", MessageID=ID, To=mails.TO, SubmittedAt=AT),
            outcome=ch.Accepted(ID),
        ),
        ReplyExample(
            promise="an address that is none",
            reply=answer(422, 300, "Invalid 'To' address: 'olena'."),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "300"),
        ),
        *refused("406", R.REFUSED_OPTED_OUT),
        *refused("300 409 410 411 1101 1109", R.REFUSED_CONTENT),
        *refused("400 401 402 405 412 413", R.REFUSED_CONFIGURATION),
        *refused("10", R.REFUSED_CONFIGURATION, 401),
        ReplyExample(
            promise="too fast",
            reply=answer(429, 429, "Slow down.", **{}),
            outcome=ch.NotSent(R.THROTTLED, None, "429"),
        ),
        ReplyExample(
            promise="a server error says nothing",
            reply=answer(500, 10),
            outcome=ch.Unknown(R.SERVER_ERROR, "500"),
        ),
        ReplyExample(
            promise="a good status with a code proves nothing",
            reply=answer(200, 406, MessageID=ID),
            outcome=ch.Unknown(R.RESPONSE_UNREADABLE, "200"),
        ),
    ),
    hooks=(
        says("delivered", event("Delivery", DeliveredAt=AT, Details="250 ok"), D.DELIVERED),
        says("hard", bounce("HardBounce", "550 5.1.1 no such user"), D.FAILED, dead("5.1.1")),
        *(
            says(code, bounce("HardBounce", words), D.FAILED, ch.Refused(R.REFUSED_RECIPIENT, code))
            for code, words in mails.BLAMELESS
        ),
        *(
            says(words, bounce("HardBounce", words), D.FAILED, ch.Refused(R.REFUSED_RECIPIENT))
            for words in ("450 4.4.7 expired", "550 blocked by a blocklist", "552 mailbox full")
        ),
        says("reactivated", bounce("Subscribe"), None),
        says("hard without a code", bounce("HardBounce", "gone"), D.FAILED, dead(None)),
        says(
            "soft",
            bounce("SoftBounce", "451 4.2.2 full"),
            D.FAILED,
            ch.Refused(R.REFUSED_RECIPIENT),
        ),
        says("no address", bounce("BadEmailAddress"), D.REJECTED, dead(None)),
        *(
            says(kind, bounce(kind), D.REJECTED, ch.Refused(R.REFUSED_RECIPIENT))
            for kind in ("ManuallyDeactivated", "Blocked", "DMARCPolicy", "Unconfirmed")
        ),
        *(says(kind, bounce(kind), None) for kind in ("Transient", "DnsError", "OpenRelayTest")),
        *(says(kind, bounce(kind), None) for kind in ("AutoResponder", "AddressChange")),
        says("ChallengeVerification", bounce("ChallengeVerification"), None),
        *(says(kind, bounce(kind), E.COMPLAINED) for kind in ("SpamNotification", "SpamComplaint")),
        *(
            says(kind, bounce(kind), E.UNSUBSCRIBED)
            for kind in ("Unsubscribe", "ManualSuppression")
        ),
        *(
            says(kind, bounce(kind), D.REJECTED, ch.Refused(R.REFUSED_CONTENT))
            for kind in ("SMTPApiError", "TemplateRenderingFailed")
        ),
        says("a complaint", event("SpamComplaint", Email=mails.TO, BouncedAt=AT), E.COMPLAINED),
        says("read", event("Open", ReceivedAt=AT, UserAgent=mails.PERSON), E.READ),
        says("opened by a proxy", event("Open", ReceivedAt=AT, UserAgent=mails.MACHINE), None),
        says("clicked", event("Click", ReceivedAt=AT, UserAgent=mails.PERSON), E.CLICKED),
        says(
            "a changed subscription",
            event(
                "SubscriptionChange",
                ChangedAt=AT,
                SuppressSending=True,
                SuppressionReason="ManualSuppression",
            ),
            E.UNSUBSCRIBED,
        ),
        HookExample(
            promise="an unsubscription that names no mail",
            hook=hook(
                json_body={
                    "RecordType": "SubscriptionChange",
                    "Recipient": mails.TO,
                    "ChangedAt": AT,
                    "SuppressSending": True,
                }
            ),
            says=(
                ch.Preference(
                    kind="email",
                    value=mails.TO,
                    state="out",
                    source="unsubscribed",
                    at=AT_SECONDS,
                ),
            ),
        ),
        HookExample(
            promise="an address that the account's owner took off the list lifts no opt-out",
            hook=hook(
                json_body={
                    "RecordType": "SubscriptionChange",
                    "Recipient": mails.TO,
                    "ChangedAt": AT,
                    "SuppressSending": False,
                }
            ),
            says=(),
        ),
    ),
)
