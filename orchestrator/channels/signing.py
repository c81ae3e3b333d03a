"""JSON web tokens (RFC 7519) signed with a key of the installation's: VAPID, Apple, Google."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from orchestrator.channels.readers import json_bytes

RSA_BITS_MIN = 2_048


def base64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def jwt(
    header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    """A token in its compact form."""
    signed = ".".join(base64url(json_bytes(part)) for part in (header, claims))
    return f"{signed}.{base64url(sign(signed.encode('ascii')))}"


def p256_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key. Raises ``ValueError``, without any of the text."""
    key = private_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("must be a key on the curve P-256 (prime256v1)")
    return key


def rsa_key(pem: str) -> rsa.RSAPrivateKey:
    """An RSA private key. Raises ``ValueError``, without any of the text."""
    key = private_key(pem)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"must be an RSA key of at least {RSA_BITS_MIN} bits")
    return key


def private_key(pem: str) -> Any:
    """Any private key. Raises ``ValueError``, without any of the text."""
    try:
        return serialization.load_pem_private_key(pem.encode("utf-8", "replace"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(
            "must be an unencrypted PEM private key (-----BEGIN PRIVATE KEY-----)"
        ) from None


def es256(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """What signs with ES256 (RFC 7518 3.4)."""

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, deterministic()))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def rs256(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    """What signs with RS256 (RFC 7518 3.3)."""
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


@cache
def deterministic() -> ec.ECDSA:
    """
    ES256, deterministic (RFC 6979) if OpenSSL supports it (3.2 on), so that the same message gives
    the same request.
    """
    try:
        return ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        return ec.ECDSA(hashes.SHA256())
