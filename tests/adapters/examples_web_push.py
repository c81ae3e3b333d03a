"""Web push on the wire: push services' answers, and the reports of our own service worker."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kaskad_testing import (
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
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAAB"
BROWSER = (
    ("auth", "BTBZMqHH6r4Tts7J_aSIgg"),
    (
        "p256dh",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    ),
)
BROWSERS_KEY = ec.derive_private_key(
    int.from_bytes(base64.urlsafe_b64decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94="), "big"),
    ec.SECP256R1(),
)
CONTENT = {
    "title": "Кошик чекає",
    "text": "Два товари",
    "yaml": {"url": "https://shop.example.com/cart", "tag": "cart-1"},
}


def message(**changed: Any) -> ch.Outgoing:
    address = ch.Address("web_push", ENDPOINT, "hash-of-the-address", BROWSER)
    return outgoing(
        **{"address": address, "content": CONTENT, "receipt_token": REFERENCE, **changed}
    )


def mozilla(status: int, errno: int) -> ch.HttpReply:
    return reply(status, {"code": status, "errno": errno, "error": "…", "message": "…"})


def report(ev: Any, rt: Any = REFERENCE) -> ch.Webhook:
    return hook(json_body={"mid": "m", "rt": rt, "ev": ev})


def opened(body: bytes) -> dict[str, Any]:
    """
    The payload as the browser of RFC 8291's example opens it, by a library that knows nothing of
    ours.
    """
    auth = base64.urlsafe_b64decode(dict(BROWSER)["auth"] + "==")
    plain = http_ece.decrypt(body, private_key=BROWSERS_KEY, auth_secret=auth, version="aes128gcm")
    found: dict[str, Any] = json.loads(plain)
    return found


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """The worker sends back the token that came inside the encrypted payload."""
    payload = opened(call.body)
    assert payload["report"] == RECEIPT_URL
    return report("delivered", payload["rt"])


def receipts_of(state: ch.Delivery | ch.Engagement) -> tuple[ch.Receipt]:
    return (ch.Receipt(state=state, client_reference=REFERENCE),)


EXAMPLES = Examples(
    adapter="web_push",
    settings={"private_key": PEM, "subject": "mailto:ops@example.com"},
    secrets=(PEM, base64.b64encode(PEM.encode()).decode()),
    status_decides=True,
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="a record of aes128gcm with its time to live",
            message=message(),
            url=ENDPOINT,
            headers={
                "TTL": "600",
                "Urgency": "high",
                "Topic": base64.urlsafe_b64encode(hashlib.sha256(b"cart-1").digest()).decode()[:32],
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
            },
        ),
        RequestExample(
            promise="thirty days at most, and low urgency for a promotion",
            message=message(ttl_seconds=9_999_999, message_class="promotional"),
            url=ENDPOINT,
            headers={"TTL": "2592000", "Urgency": "low"},
        ),
    ),
    replies=(
        ReplyExample(
            promise="created",
            reply=reply(201, b"", location=ENDPOINT + "/m1"),
            outcome=ch.Accepted(ENDPOINT + "/m1"),
        ),
        ReplyExample(
            promise="created without an address", reply=reply(201), outcome=ch.Accepted(None)
        ),
        ReplyExample(
            promise="gone", reply=mozilla(410, 103), outcome=ch.Refused(R.REFUSED_ADDRESS, "410")
        ),
        ReplyExample(
            promise="not found is gone too",
            reply=reply(404),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "404"),
        ),
        ReplyExample(
            promise="keys nobody can use",
            reply=mozilla(400, 110),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "400/110"),
        ),
        ReplyExample(
            promise="a bad header",
            reply=mozilla(400, 113),
            outcome=ch.Refused(R.REFUSED_CONTENT, "400"),
        ),
        ReplyExample(
            promise="a subscription of another key",
            reply=reply(403),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "403", "", 2, (), True),
        ),
        ReplyExample(
            promise="too large", reply=reply(413), outcome=ch.Refused(R.REFUSED_CONTENT, "413")
        ),
        ReplyExample(
            promise="slow down",
            reply=reply(429, b"", retry_after="120"),
            outcome=ch.NotSent(R.THROTTLED, 120_000, "429"),
        ),
        ReplyExample(
            promise="accepted for later",
            reply=reply(202, b"", location="/m/2"),
            outcome=ch.Accepted("/m/2"),
        ),
        ReplyExample(
            promise="an address too long to keep",
            reply=reply(201, b"", location="h" * 3000),
            outcome=ch.Accepted(None),
        ),
        ReplyExample(
            promise="moved", reply=reply(301), outcome=ch.Refused(R.REFUSED_RECIPIENT, "301")
        ),
        ReplyExample(
            promise="Mozilla says so",
            reply=mozilla(401, 109),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "401", "", 2, (), True),
        ),
        ReplyExample(
            promise="Apple says so",
            reply=reply(400, {"reason": "VapidPkHashMismatch"}),
            outcome=ch.Refused(R.REFUSED_ADDRESS, "400", "VapidPkHashMismatch", 2, (), True),
        ),
        ReplyExample(
            promise="Apple says why",
            reply=reply(403, {"reason": "BadJwtToken"}),
            outcome=ch.Refused(R.REFUSED_CONFIGURATION, "403", "BadJwtToken"),
        ),
        ReplyExample(
            promise="Windows throttles a channel",
            reply=reply(406, b"", x_wns_status="channelThrottled"),
            outcome=ch.NotSent(R.THROTTLED, None, "406"),
        ),
        ReplyExample(
            promise="not acceptable", reply=reply(406), outcome=ch.Refused(R.REFUSED_CONTENT, "406")
        ),
        ReplyExample(
            promise="down", reply=mozilla(500, 201), outcome=ch.Unknown(R.SERVER_ERROR, "500")
        ),
        ReplyExample(
            promise="down for a while",
            reply=reply(503, b"", retry_after="30"),
            outcome=ch.NotSent(R.THROTTLED, 30_000, "503"),
        ),
    ),
    hooks=(
        HookExample(
            promise="delivered", hook=report("delivered"), says=receipts_of(ch.Delivery.DELIVERED)
        ),
        HookExample(
            promise="clicked", hook=report("clicked"), says=receipts_of(ch.Engagement.CLICKED)
        ),
        HookExample(
            promise="dismissed", hook=report("dismissed"), says=receipts_of(ch.Engagement.DISMISSED)
        ),
        HookExample(promise="a word nobody knows", hook=report("teleported"), says=()),
    ),
    forged=(
        hook(json_body={"mid": "m", "ev": "delivered"}),
        report("delivered", ""),
        report("delivered", 7),
        hook(body=b"{"),
    ),
)
