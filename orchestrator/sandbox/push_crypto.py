"""
The browser's and the push service's side of web push: keys, decryption, and the check of the
sender's signature.

Reference: RFC 8291 (message encryption), RFC 8188 (``aes128gcm``), RFC 8292 (VAPID). Written for
the stand-in alone, so that the sender's own code is checked by something that shares nothing with
it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
POINT_BYTES = 65
HEADER_BYTES = 16 + 4 + 1 + POINT_BYTES
VAPID = re.compile(r"vapid\s+(?:t=([\w.-]+)\s*,\s*k=([\w-]+=*)|k=([\w-]+=*)\s*,\s*t=([\w.-]+))")
DAY_SECONDS = 86_400


class Undecryptable(ValueError):
    """The body is no message for these keys; says why."""


class BadVapid(ValueError):
    """The sender's authorisation is missing or wrong; says why."""


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of base64url, padded or not. Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def checked_point(text: str) -> bytes:
    """The 65 bytes of a base64url public key. Raises ValueError if it is no point of P-256."""
    point = unb64(text)
    ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    return point


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 65 bytes of an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass(frozen=True, slots=True)
class BrowserKeys:
    """A browser's keys of one subscription."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes

    @classmethod
    def of(cls, scalar: int, auth: bytes) -> BrowserKeys:
        """Keys from a private scalar, for subscriptions that are the same in every run."""
        return cls(ec.derive_private_key(scalar, CURVE), auth)

    def public(self) -> dict[str, str]:
        """The ``keys`` of a PushSubscription."""
        return {"p256dh": b64(point_of(self.private.public_key())), "auth": b64(self.auth)}


def decrypt(keys: BrowserKeys, body: bytes) -> bytes:
    """
    The plaintext of a push message (RFC 8291 section 4, one record). Raises ``Undecryptable``.
    """
    if len(body) < HEADER_BYTES + 17 or body[20] != POINT_BYTES:
        raise Undecryptable("the header of 86 bytes with a key id of 65 is missing or cut short")
    salt, record_bytes, sender_point = (
        body[:16],
        int.from_bytes(body[16:20], "big"),
        body[21:HEADER_BYTES],
    )
    record = body[HEADER_BYTES:]
    if len(record) > record_bytes:
        raise Undecryptable("more than one record, which RFC 8291 forbids")
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender_point)
    except ValueError as error:
        raise Undecryptable("the sender's key is not a point of P-256") from error
    secret = keys.private.exchange(ec.ECDH(), sender)
    info = b"WebPush: info\x00" + point_of(keys.private.public_key()) + sender_point
    material = _expand(_mac(keys.auth, secret), info, 32)
    pseudorandom = _mac(salt, material)
    content_key = _expand(pseudorandom, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _expand(pseudorandom, b"Content-Encoding: nonce\x00", 12)
    try:
        padded = AESGCM(content_key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise Undecryptable(
            "it was not encrypted for this subscription, or was changed on the way"
        ) from error
    plain = padded.rstrip(b"\x00")
    if not plain.endswith(b"\x02"):
        raise Undecryptable("the padding does not begin with the last record's delimiter 2")
    return plain[:-1]


def check_vapid(header: str | None, *, origin: str, now: float) -> bytes:
    """
    The public key (65 bytes) that signed an ``Authorization: vapid t=…, k=…`` header. Checks the
    form, the ES256 signature, ``aud`` (exactly the origin), ``exp`` (ahead by a day at most) and
    ``sub``. Raises ``BadVapid``.
    """
    match = VAPID.fullmatch((header or "").strip())
    if match is None:
        raise BadVapid("Authorization must be: vapid t=<token>, k=<key>")
    token, key_text = match[1] or match[4], match[2] or match[3]
    try:
        point = unb64(key_text)
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    except ValueError as error:
        raise BadVapid("k is not a public key of P-256") from error
    claims = _claims(token, key)
    if claims.get("aud") != origin:
        raise BadVapid(f"aud must be {origin}")
    expires = claims.get("exp")
    if (
        isinstance(expires, bool)
        or not isinstance(expires, (int, float))
        or not now < expires <= now + DAY_SECONDS
    ):
        raise BadVapid("exp must be ahead, and by no more than 24 hours")
    if not str(claims.get("sub", "")).startswith(("mailto:", "https:")):
        raise BadVapid("sub must be a mailto: or https: contact")
    return point


def _claims(token: str, key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    pieces = token.split(".")
    try:
        header, claims, signature = (unb64(piece) for piece in pieces)
        parsed_header, parsed = json.loads(header), json.loads(claims)
    except ValueError as error:
        raise BadVapid("t is not a JSON Web Token") from error
    if (
        not isinstance(parsed, dict)
        or not isinstance(parsed_header, dict)
        or parsed_header.get("alg") != "ES256"
    ):
        raise BadVapid("t must be signed with ES256")
    if len(signature) != 64:
        raise BadVapid("the signature of t must be 64 bytes")
    encoded = utils.encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )
    try:
        key.verify(encoded, ".".join(pieces[:2]).encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadVapid("t is not signed with k") from error
    return parsed


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869) for at most one block."""
    return _mac(key, info + b"\x01")[:length]
