"""
Message encryption for web push: one aes128gcm record (RFC 8188) under keys agreed with the browser
(RFC 8291).

Pure: the ephemeral key and the salt are arguments, so the RFC's own vectors pass byte for byte.
"""

from __future__ import annotations

import hmac
import struct

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_SIZE = 4096
POINT_BYTES = 65
AUTH_BYTES = 16
SALT_BYTES = 16
UNCOMPRESSED = 4
OVERHEAD_BYTES = SALT_BYTES + 4 + 1 + POINT_BYTES + 1 + 16
PLAINTEXT_BYTES_MAX = RECORD_SIZE - OVERHEAD_BYTES
"""
3993: a push service must take a body of 4096 bytes (RFC 8030 7.2), and it is the header, one record
and its tag.
"""

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def private_key_from(entropy: bytes) -> ec.EllipticCurvePrivateKey:
    """
    A P-256 key made of at least 40 random bytes (the excess makes the reduction unbiased, FIPS
    186-5 A.2.1).
    """
    number = int.from_bytes(entropy, "big") % (ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The public point, uncompressed (65 bytes)."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encrypt(
    plaintext: bytes,
    browser_point: bytes,
    auth_secret: bytes,
    ephemeral: ec.EllipticCurvePrivateKey,
    salt: bytes,
) -> bytes:
    """
    The request body: header and one record. ``browser_point`` is the subscription's p256dh,
    ``auth_secret`` its auth.

    Raises ``ValueError`` for keys of another form (65 and 16 bytes), a point that is not on the
    curve, or a text of more than ``PLAINTEXT_BYTES_MAX`` bytes.
    """
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise ValueError(
            f"the payload has {len(plaintext)} bytes, at most {PLAINTEXT_BYTES_MAX} fit"
        )
    if len(browser_point) != POINT_BYTES or browser_point[0] != UNCOMPRESSED:
        raise ValueError(f"p256dh must be an uncompressed point of {POINT_BYTES} bytes")
    if len(auth_secret) != AUTH_BYTES:
        raise ValueError(f"auth must have {AUTH_BYTES} bytes")
    browser = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), browser_point)
    own_point = public_point(ephemeral.public_key())
    shared = ephemeral.exchange(ec.ECDH(), browser)
    agreed = hkdf(auth_secret, shared, b"WebPush: info\0" + browser_point + own_point, 32)
    key = hkdf(salt, agreed, b"Content-Encoding: aes128gcm\0", 16)
    nonce = hkdf(salt, agreed, b"Content-Encoding: nonce\0", 12)
    record = AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)
    return salt + struct.pack("!IB", RECORD_SIZE, len(own_point)) + own_point + record


def hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869) for at most 32 bytes: extract, then one block of expand."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:length]
