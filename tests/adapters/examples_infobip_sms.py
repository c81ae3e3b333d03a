"""Infobip's SMS API on the wire; answers and reports have the form of its Viber API."""

from __future__ import annotations

from kaskad_testing import (
    RECEIPT_URL,
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    hook,
    outgoing,
)
from orchestrator import channels as ch
from tests.adapters.examples_infobip_viber import (
    BEARER,
    CLICK,
    DONE,
    DONE_AT,
    KEY,
    by_status,
    failing,
    log_in,
    receipt_of,
    receipts_of,
    report,
    verdict,
)

R = ch.Reason
URL = "https://xyz12.api.infobip.com/sms/3/messages"
TABLE = {
    R.REFUSED_ADDRESS: (1, 9, 11, 12, 345, 351, 352, 3041),
    R.REFUSED_RECIPIENT: (6, 13, 27, 31, 32, 256, 581),
    R.REFUSED_OPTED_OUT: (566, 573, 603, 2050, 2052),
    R.REFUSED_CONTENT: (355, 561, 607, 2051),
    R.REFUSED_CONFIGURATION: (368, 375, 433, 562, 563, 564, 572, 4099, 4102),
}
PASSING = (34, 255, 500, 509, 1024, 1500, 2048, 541)
REPEATED = (4103, 4104, 5492)
REPLY = {
    "messageId": "in-1",
    "from": "380501234567",
    "to": "Shop",
    "text": "СТОП",
    "cleanText": "СТОП",
    "keyword": "",
    "receivedAt": DONE,
    "smsCount": 1,
    "callbackData": REFERENCE,
}


def at_once(number: int, outcome: ch.Outcome) -> ReplyExample:
    answer = verdict(5, 4, error=failing(number))
    return ReplyExample(promise=f"error {number} at once", reply=answer, outcome=outcome)


def later(number: int, says: tuple[ch.Receipt, ...]) -> HookExample:
    return HookExample(promise=f"error {number}", hook=report(2, 4, failing(number)), says=says)


ENTRY = {
    "sender": "Shop",
    "destinations": [{"to": "380501234567", "messageId": REFERENCE}],
    "content": {"text": "Ваш кошик чекає"},
    "options": {"validityPeriod": {"amount": 10, "timeUnit": "MINUTES"}},
    "webhooks": {
        "delivery": {"url": RECEIPT_URL, "intermediateReport": True, "notify": True},
        "contentType": "application/json",
        "callbackData": REFERENCE,
    },
}
TRACKING = {"shortenUrl": True, "trackClicks": True, "trackingUrl": RECEIPT_URL}
DELIVERED = HookExample(
    promise="delivered", hook=report(3, 5), says=receipts_of(ch.Delivery.DELIVERED)
)

EXAMPLES = Examples(
    adapter="infobip_sms",
    settings={
        "api_key": KEY,
        "sender": "Shop",
        "base_url": "https://xyz12.api.infobip.com",
        "webhook_token": BEARER,
        "track_clicks": True,
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
            promise="a text in Cyrillic as it stands",
            message=outgoing(),
            url=URL,
            headers={"Authorization": f"App {KEY}", "Content-Type": "application/json"},
            json={"messages": [ENTRY]},
        ),
        RequestExample(
            promise="a promotion with its clicks tracked",
            message=outgoing(message_class="promotional"),
            url=URL,
            json={"messages": [ENTRY], "options": {"tracking": TRACKING}},
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
        by_status(5, 52, R.REFUSED_ADDRESS),
        by_status(5, 12, R.REFUSED_CONFIGURATION),
        *(
            at_once(number, ch.Refused(reason, str(number)))
            for reason, numbers in TABLE.items()
            for number in numbers
        ),
        at_once(541, ch.NotSent(R.THROTTLED, None, "541")),
        at_once(500, ch.Unknown(R.SERVER_ERROR, "500")),
        at_once(4103, ch.Accepted(REFERENCE, duplicate=True)),
    ),
    hooks=(
        DELIVERED,
        HookExample(promise="pending", hook=report(1, 7), says=receipts_of(ch.Delivery.SENT)),
        HookExample(promise="expired", hook=report(4, 15), says=receipts_of(ch.Delivery.EXPIRED)),
        *(
            later(number, receipts_of(ch.Delivery.FAILED, ch.Refused(reason, str(number))))
            for reason, numbers in TABLE.items()
            for number in numbers
        ),
        *(later(number, receipts_of(ch.Delivery.FAILED)) for number in PASSING),
        *(later(number, ()) for number in REPEATED),
        *(
            later(
                number,
                receipts_of(ch.Delivery.EXPIRED, ch.Refused(R.REFUSED_RECIPIENT, str(number))),
            )
            for number in (811, 4098, 4100, 4101)
        ),
        HookExample(
            promise="a click",
            hook=hook(json_body=CLICK),
            says=(
                ch.Receipt(
                    state=ch.Engagement.CLICKED, provider_id=REFERENCE, client_reference=REFERENCE
                ),
            ),
        ),
        HookExample(
            promise="a reply",
            hook=hook(json_body={"results": [REPLY], "messageCount": 1}),
            says=(
                ch.Inbound(
                    kind="phone",
                    value="+380501234567",
                    text="СТОП",
                    id="in-1",
                    answers=(REFERENCE,),
                    at=DONE_AT,
                ),
            ),
        ),
    ),
)
