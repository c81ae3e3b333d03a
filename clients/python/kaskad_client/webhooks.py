"""Status events by webhook, signed as Standard Webhooks 1.0 say."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypedDict

from kaskad_client.errors import InvalidWebhook
from kaskad_client.shapes import Message

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
KEY_BYTES_MIN = 24


class Headers(Protocol):
    """The headers of a request, as every web framework has them."""

    def items(self) -> Iterable[tuple[str, str]]: ...


class StatusEvent(TypedDict):
    """
    A CloudEvent of one change. ``type`` is ``kaskad.message.<status>`` or
    ``kaskad.attempt.<state>``, ``subject`` the message's id, ``data`` the message as lists have it.
    Recognise a repeat by its ``id``.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Message


def verify_webhook(
    secret: str | Sequence[str],
    headers: Headers,
    body: bytes,
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    clock: Callable[[], float] = time.time,
) -> StatusEvent:
    """
    The status event in a webhook. ``secret`` is the ``whsec_…`` of ``kaskad.yaml``, or several
    while it is changed; ``headers`` are the request's, in any case of letters; ``body`` its bytes
    as they came. Raises ``InvalidWebhook`` for what is not signed with the secret, or was signed
    longer than the tolerance ago, and ``ValueError`` for a secret that is none.
    """
    keys = [key_of(one) for one in ([secret] if isinstance(secret, str) else secret)]
    given = {name.lower(): value for name, value in headers.items()}
    id, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not (id and at.isascii() and at.isdigit() and len(at) <= 12):
        raise InvalidWebhook("webhook-id or webhook-timestamp is missing")
    if abs(clock() - int(at)) > tolerance_seconds:
        raise InvalidWebhook("webhook-timestamp is too far from this machine's clock")
    signed = f"{id}.{at}.".encode("utf-8", "replace") + body
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in keys]
    signatures = [
        one.encode("utf-8", "replace") for one in given.get("webhook-signature", "").split()
    ]
    if not any(hmac.compare_digest(one, right) for one in signatures for right in expected):
        raise InvalidWebhook("no signature is one of this secret's")
    try:
        event: StatusEvent = json.loads(body)
        if event["id"] != id:
            raise InvalidWebhook("the event is not the one that webhook-id names")
    except (ValueError, TypeError, KeyError):
        raise InvalidWebhook("the body is no CloudEvent") from None
    return event


def key_of(secret: str) -> bytes:
    """The bytes of a ``whsec_…`` secret. Raises ``ValueError``."""
    before, found, encoded = secret.partition(PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True) if found and not before else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < KEY_BYTES_MIN:
        raise ValueError("a webhook's secret is whsec_ and base64, as in kaskad.yaml")
    return key
