"""
Signatures of Standard Webhooks 1.0: HMAC-SHA256 over ``id.timestamp.body`` with the key of a
``whsec_…`` secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os

PREFIX = "whsec_"
KEY_BYTES_MIN, NEW_KEY_BYTES = 24, 32
NOT_A_SECRET = (
    f"must be {PREFIX} and the base64 of at least {KEY_BYTES_MIN} bytes,"
    " as Standard Webhooks has it"
)


def webhook_key(secret: str) -> bytes:
    """The key in a secret. Raises ``ValueError``, which repeats nothing of it."""
    before, found, encoded = secret.partition(PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True) if found and not before else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"{NOT_A_SECRET}; here is a new one: {new_webhook_secret()}")
    return key


def new_webhook_secret() -> str:
    """A secret to paste."""
    return PREFIX + base64.b64encode(os.urandom(NEW_KEY_BYTES)).decode("ascii")


def webhook_signature(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """The ``webhook-signature`` header of one try, made at ``timestamp`` (UTC seconds)."""
    signed = f"{id}.{timestamp}.".encode("utf-8", "replace") + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
