"""FCM HTTP v1 on the wire: requests, every error code of its table, and the reports of the app."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kaskad_testing import (
    NOW,
    REFERENCE,
    Examples,
    ReplyExample,
    RequestExample,
    outgoing,
    reply,
)
from orchestrator import channels as ch
from tests.adapters.examples_apns import CONTENT, DEVICE_REPORTS, FACTS, FORGED_REPORTS, report

R = ch.Reason
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "shop-17",
    "private_key_id": "0123456789abcdef0123456789abcdef01234567",
    "private_key": PEM,
    "client_email": "push@shop-17.iam.gserviceaccount.com",
    "client_id": "117",
    "token_uri": "https://oauth2.googleapis.com/token",
}
TOKEN = "dQw4w9WgXcQ:APA91bH-example_token_of_a_phone"
URL = "https://fcm.googleapis.com/v1/projects/shop-17/messages:send"
NAME = "projects/shop-17/messages/0:1500415314455276%31bd1c9631bd1c96"


def message(**changed: Any) -> ch.Outgoing:
    address = ch.Address("fcm_device", TOKEN, "hash-of-the-address")
    return outgoing(
        **{
            "address": address,
            "content": CONTENT,
            "receipt_token": REFERENCE,
            "access_token": "ya29.token",
            **changed,
        }
    )


def error(status: int, word: str, code: str | None, text: str = "…", **more: Any) -> ch.HttpReply:
    details: list[Any] = []
    if code is not None:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details.append({"@type": kind, "errorCode": code})
    if "field" in more:
        kind = "type.googleapis.com/google.rpc.BadRequest"
        field = more.pop("field")
        details.append({"@type": kind, "fieldViolations": [{"field": field, "description": "…"}]})
    body = {"error": {"code": status, "message": text, "status": word, "details": details}}
    return reply(status, body, **more)


def said(reply: ch.HttpReply, outcome: ch.Outcome, promise: str) -> ReplyExample:
    return ReplyExample(promise=promise, reply=reply, outcome=outcome)


def device(code: str) -> ch.Refused:
    return ch.Refused(R.REFUSED_ADDRESS, code, "", 2, (), True)


def receipt_of(call: ch.HttpCall) -> ch.Webhook:
    """The app sends back the token that came with the data."""
    return report("delivered", json.loads(call.body)["message"]["data"]["rt"])


EXAMPLES = Examples(
    adapter="fcm",
    settings={"service_account": json.dumps(ACCOUNT)},
    secrets=(PEM,),
    receipt_of=receipt_of,
    requests=(
        RequestExample(
            promise="everything that a notification can have",
            message=message(),
            url=URL,
            headers={"Authorization": "Bearer ya29.token", "Content-Type": "application/json"},
            json={
                "message": {
                    "token": TOKEN,
                    "notification": {
                        "title": "Кошик чекає",
                        "body": "Два товари",
                        "image": "https://shop.example.com/cart.jpg",
                    },
                    "data": {
                        **FACTS,
                        "url": "shop://cart",
                        "image": "https://shop.example.com/cart.jpg",
                        "cart_id": "17",
                        "vip": "true",
                    },
                    "android": {
                        "priority": "HIGH",
                        "ttl": "600s",
                        "collapse_key": "cart-1",
                        "notification": {
                            "channel_id": "carts",
                            "sound": "bell.caf",
                            "tag": "cart-1",
                            "notification_count": 2,
                        },
                    },
                    "apns": {
                        "headers": {
                            "apns-priority": "10",
                            "apns-expiration": str(int(NOW) + 600),
                            "apns-collapse-id": "cart-1",
                        },
                        "payload": {
                            "aps": {
                                "alert": {"title": "Кошик чекає", "body": "Два товари"},
                                "mutable-content": 1,
                                "sound": "bell.caf",
                                "badge": 2,
                                "category": "CART",
                                "interruption-level": "time-sensitive",
                            }
                        },
                    },
                }
            },
        ),
        RequestExample(
            promise="four weeks at most, and a promotion saves the battery",
            message=message(
                message_class="promotional",
                ttl_seconds=9_999_999,
                content={"title": "Знижка", "text": "−20 %", "yaml": {"sound": "none"}},
            ),
            url=URL,
            json={
                "message": {
                    "token": TOKEN,
                    "notification": {"title": "Знижка", "body": "−20 %"},
                    "data": FACTS,
                    "android": {"priority": "NORMAL", "ttl": "2419200s", "notification": {}},
                    "apns": {
                        "headers": {
                            "apns-priority": "5",
                            "apns-expiration": str(int(NOW) + 28 * 86_400),
                        },
                        "payload": {
                            "aps": {
                                "alert": {"title": "Знижка", "body": "−20 %"},
                                "mutable-content": 1,
                            }
                        },
                    },
                }
            },
        ),
    ),
    replies=(
        said(reply(200, {"name": NAME}), ch.Accepted(NAME), "taken"),
        said(
            error(404, "NOT_FOUND", "UNREGISTERED"),
            ch.Refused(R.REFUSED_ADDRESS, "UNREGISTERED"),
            "the app was removed",
        ),
        said(
            error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
            device("SENDER_ID_MISMATCH"),
            "a token of another project",
        ),
        said(
            error(
                400,
                "INVALID_ARGUMENT",
                "INVALID_ARGUMENT",
                "The registration token is not a valid FCM registration token",
            ),
            device("INVALID_ARGUMENT"),
            "no token at all",
        ),
        said(
            error(400, "INVALID_ARGUMENT", None, field="message.token"),
            device("INVALID_ARGUMENT"),
            "a bad field, and it is the token",
        ),
        said(
            error(400, "INVALID_ARGUMENT", None, field="message.data[0].value"),
            ch.Refused(R.REFUSED_CONTENT, "INVALID_ARGUMENT"),
            "a bad field of the message",
        ),
        said(
            error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Message too big"),
            ch.Refused(R.REFUSED_CONTENT, "INVALID_ARGUMENT"),
            "the message",
        ),
        said(
            error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="30"),
            ch.NotSent(R.THROTTLED, 30_000, "QUOTA_EXCEEDED"),
            "slow down for so long",
        ),
        said(
            error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            ch.NotSent(R.THROTTLED, 60_000, "QUOTA_EXCEEDED"),
            "slow down for a minute",
        ),
        said(
            error(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="10"),
            ch.NotSent(R.THROTTLED, 10_000, "UNAVAILABLE"),
            "overloaded, with a time to come back",
        ),
        said(
            error(503, "UNAVAILABLE", "UNAVAILABLE"),
            ch.Unknown(R.SERVER_ERROR, "UNAVAILABLE"),
            "overloaded",
        ),
        said(error(500, "INTERNAL", "INTERNAL"), ch.Unknown(R.SERVER_ERROR, "INTERNAL"), "broken"),
        said(reply(504), ch.Unknown(R.SERVER_ERROR, "504"), "nobody answered"),
        *(
            said(
                error(401, "UNAUTHENTICATED", code),
                ch.Refused(R.REFUSED_CONFIGURATION, code, "", 1, (), True),
                f"Firebase's own key of Apple is wrong: {code}",
            )
            for code in ("THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR")
        ),
        said(
            error(401, "UNAUTHENTICATED", None),
            ch.Refused(R.REFUSED_CONFIGURATION, "UNAUTHENTICATED"),
            "no valid access token",
        ),
        said(
            error(403, "PERMISSION_DENIED", None),
            ch.Refused(R.REFUSED_CONFIGURATION, "PERMISSION_DENIED"),
            "the service account may not send",
        ),
        said(
            error(404, "NOT_FOUND", None),
            ch.Refused(R.REFUSED_CONFIGURATION, "NOT_FOUND"),
            "there is no such project",
        ),
        said(
            error(400, "INVALID_ARGUMENT", "UNSPECIFIED_ERROR"),
            ch.Unknown(R.SERVER_ERROR, "UNSPECIFIED_ERROR"),
            "it does not say",
        ),
        said(
            error(500, "UNKNOWN", "UNSPECIFIED_ERROR"),
            ch.Unknown(R.SERVER_ERROR, "UNSPECIFIED_ERROR"),
            "it does not say, and is broken",
        ),
    ),
    hooks=DEVICE_REPORTS,
    forged=FORGED_REPORTS,
)
