"""
A client of Kaskad's HTTP API::

    with Kaskad("https://kaskad.example.com", key="kk_…", source="shop/orders") as kaskad:
        kaskad.publish("shop.order.shipped", {"order_id": "981", "recipient": {"id": "user-42"}})

``AsyncKaskad`` has the same calls to await. ``verify_webhook`` reads a status event.
"""

from kaskad_client.clients import AsyncKaskad, Kaskad
from kaskad_client.errors import (
    ApiError,
    BadEvent,
    Conflict,
    InvalidWebhook,
    KaskadError,
    NotFound,
    TooLarge,
    Unprocessable,
    Unreachable,
)
from kaskad_client.events import Event, Refused, Result, Warned
from kaskad_client.shapes import Attempt, Consent, InboxToken, Message, Recipient
from kaskad_client.webhooks import StatusEvent, verify_webhook

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AsyncKaskad",
    "Attempt",
    "BadEvent",
    "Conflict",
    "Consent",
    "Event",
    "InboxToken",
    "InvalidWebhook",
    "Kaskad",
    "KaskadError",
    "Message",
    "NotFound",
    "Recipient",
    "Refused",
    "Result",
    "StatusEvent",
    "TooLarge",
    "Unprocessable",
    "Unreachable",
    "Warned",
    "verify_webhook",
]
