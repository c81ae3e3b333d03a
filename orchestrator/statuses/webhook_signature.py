"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over ``id.timestamp.body``."""

from __future__ import annotations

import base64
import binascii
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The bytes of a ``whsec_…`` secret; one without the prefix is used as it is."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret[len(PREFIX) :], validate=True)
        except binascii.Error as error:
            raise ValueError(
                "after whsec_ a secret must be base64: check it, or make another"
            ) from error
    return secret.encode()


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header of one attempt, made at ``timestamp`` (UTC seconds)."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def verify(secret: str, id: str, timestamp: int, body: bytes, header: str) -> bool:
    """Whether one of the signatures in a header is ours."""
    expected = sign(secret, id, timestamp, body)
    return any(hmac.compare_digest(expected, given) for given in header.split())
