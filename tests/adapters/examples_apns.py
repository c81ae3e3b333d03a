"""APNs on the wire: requests, every reason of its table, and the reports of the app."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kaskad_testing import (
    NOW,
    RECEIPT_URL,
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    hook,
    outgoing,
    reply,
)
from orchestrator import channels as ch

R = ch.Reason
KEY = ec.derive_private_key(
    0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1()
)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
TOKEN = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
CONTENT = {
    "title": "Кошик чекає",
    "text": "Два товари",
    "yaml": {
        "url": "shop://cart",
        "image": "https://shop.example.com/cart.jpg",
        "data": {"cart_id": "17", "vip": True},
        "sound": "bell.caf",
        "badge": "2",
        "collapse": "cart-1",
        "ios": {"category": "CART", "interruption": "time-sensitive"},
        "android": {"channel": "carts", "priority": "high"},
    },
}
HEADERS = {
    "apns-topic": "com.example.shop",
    "apns-push-type": "alert",
    "apns-priority": "10",
    "apns-expiration": str(int(NOW) + 600),
    "apns-id": "01234567-89ab-cdef-0123-456789abcdef",
}
FACTS = {
    "mid": "0192f0c1-7d3c-7000-8000-000000000001",
    "rt": REFERENCE,
    "report": RECEIPT_URL,
}


def message(app: str | None = None, **changed: Any) -> ch.Outgoing:
    keys = (("app", app),) if app else ()
    address = ch.Address("apns_device", TOKEN, "hash-of-the-address", keys)
    return outgoing(
        **{"address": address, "content": CONTENT, "receipt_token": REFERENCE, **changed}
    )


def report(ev: object, rt: object = REFERENCE) -> ch.Webhook:
    return hook(json_body={"mid": "m", "rt": rt, "ev": ev})


def receipts_of(state: ch.Delivery | ch.Engagement) -> tuple[ch.Receipt]:
    return (ch.Receipt(state=state, client_reference=REFERENCE),)


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """The app sends back the token that came with the notification."""
    payload = json.loads(call.body)
    assert payload["report"] == RECEIPT_URL
    return report("delivered", payload["rt"])


def said(status: int, reason: str, outcome: ch.Outcome, **more: object) -> ReplyExample:
    return ReplyExample(
        promise=f"{status} {reason}",
        reply=reply(status, {"reason": reason, **more}),
        outcome=outcome,
    )


def refused(status: int, reason: R, *words: str) -> tuple[ReplyExample, ...]:
    return tuple(said(status, word, ch.Refused(reason, word)) for word in words)


DEVICE_REPORTS = (
    HookExample(
        promise="delivered", hook=report("delivered"), says=receipts_of(ch.Delivery.DELIVERED)
    ),
    HookExample(promise="clicked", hook=report("clicked"), says=receipts_of(ch.Engagement.CLICKED)),
    HookExample(
        promise="dismissed", hook=report("dismissed"), says=receipts_of(ch.Engagement.DISMISSED)
    ),
    HookExample(promise="a word nobody knows", hook=report("teleported"), says=()),
)
FORGED_REPORTS = (
    hook(json_body={"mid": "m", "ev": "delivered"}),
    report("delivered", ""),
    report("delivered", 7),
    hook(body=b"{"),
)

EXAMPLES = Examples(
    adapter="apns",
    settings={
        "key": PEM,
        "key_id": "ABC123DEFG",
        "team_id": "DEF123GHIJ",
        "topic": ["com.example.shop", "com.example.courier"],
    },
    secrets=(PEM,),
    status_decides=True,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="everything that a notification can have",
            message=message(),
            url=f"https://api.push.apple.com/3/device/{TOKEN}",
            headers={**HEADERS, "apns-collapse-id": "cart-1"},
            json={
                "aps": {
                    "alert": {"title": "Кошик чекає", "body": "Два товари"},
                    "mutable-content": 1,
                    "sound": "bell.caf",
                    "badge": 2,
                    "category": "CART",
                    "interruption-level": "time-sensitive",
                },
                **FACTS,
                "url": "shop://cart",
                "image": "https://shop.example.com/cart.jpg",
                "cart_id": "17",
                "vip": True,
            },
        ),
        RequestExample(
            promise="a promotion saves the battery, and a device may be of another app",
            message=message(
                "com.example.courier",
                message_class="promotional",
                content={"title": "Знижка", "text": "−20 %", "yaml": {"sound": "none"}},
                ttl_seconds=9_999_999,
            ),
            url=f"https://api.push.apple.com/3/device/{TOKEN}",
            headers={
                **HEADERS,
                "apns-topic": "com.example.courier",
                "apns-priority": "5",
                "apns-expiration": str(int(NOW) + 30 * 86_400),
            },
            json={
                "aps": {"alert": {"title": "Знижка", "body": "−20 %"}, "mutable-content": 1},
                **FACTS,
            },
        ),
    ),
    replies=(
        ReplyExample(
            promise="taken",
            reply=reply(200, b"", apns_id="01234567-89ab-cdef-0123-456789abcdef"),
            outcome=ch.Accepted("01234567-89ab-cdef-0123-456789abcdef"),
        ),
        said(
            410,
            "Unregistered",
            ch.Refused(R.REFUSED_ADDRESS, "Unregistered"),
            timestamp=1_700_000_000_000,
        ),
        said(410, "ExpiredToken", ch.Refused(R.REFUSED_ADDRESS, "ExpiredToken")),
        *(
            said(400, word, ch.Refused(R.REFUSED_ADDRESS, word, "", 2, (), True))
            for word in ("BadDeviceToken", "DeviceTokenNotForTopic", "MissingDeviceToken")
        ),
        *refused(
            400,
            R.REFUSED_CONTENT,
            *("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "BadPath"),
            *("PayloadEmpty", "InvalidPushType", "DuplicateHeaders"),
        ),
        *refused(413, R.REFUSED_CONTENT, "PayloadTooLarge"),
        *refused(400, R.REFUSED_CONFIGURATION, "BadTopic", "MissingTopic", "TopicDisallowed"),
        *refused(
            403,
            R.REFUSED_CONFIGURATION,
            *("BadCertificate", "BadCertificateEnvironment", "Forbidden", "InvalidProviderToken"),
            *("MissingProviderToken", "UnrelatedKeyIdInToken", "BadEnvironmentKeyIdInToken"),
        ),
        *refused(404, R.REFUSED_CONFIGURATION, "BadPath"),
        *refused(405, R.REFUSED_CONFIGURATION, "MethodNotAllowed"),
        *refused(429, R.REFUSED_CONFIGURATION, "TooManyProviderTokenUpdates"),
        said(400, "IdleTimeout", ch.NotSent(R.NOT_TAKEN, None, "IdleTimeout")),
        said(403, "ExpiredProviderToken", ch.NotSent(R.NOT_TAKEN, 0, "ExpiredProviderToken")),
        said(429, "TooManyRequests", ch.NotSent(R.THROTTLED, None, "429")),
        said(500, "InternalServerError", ch.Unknown(R.SERVER_ERROR, "500")),
        said(503, "ServiceUnavailable", ch.NotSent(R.NOT_TAKEN, None, "ServiceUnavailable")),
        said(503, "Shutdown", ch.NotSent(R.NOT_TAKEN, None, "Shutdown")),
    ),
    hooks=DEVICE_REPORTS,
    forged=FORGED_REPORTS,
)
