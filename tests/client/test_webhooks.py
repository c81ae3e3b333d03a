"""Status events are verified as Standard Webhooks say, against the signatures that we make."""

from __future__ import annotations

import json

import pytest

from kaskad_client import InvalidWebhook, verify_webhook
from orchestrator.channels import webhook_key, webhook_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = 1_764_500_000
BODY = json.dumps({"id": "s-1", "type": "kaskad.message.succeeded", "data": {}}).encode()


def headers(secret: str = SECRET, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return {
        "Webhook-Id": "s-1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": webhook_signature(webhook_key(secret), "s-1", str(at), body),
    }


def verify(given: dict[str, str], body: bytes = BODY, secret: str | list[str] = SECRET) -> str:
    return verify_webhook(secret, given, body, clock=lambda: NOW)["type"]


def test_what_the_service_signs_is_verified() -> None:
    assert verify(headers()) == "kaskad.message.succeeded"
    assert verify(headers(at=NOW - 300)) == "kaskad.message.succeeded"


def test_either_secret_verifies_while_it_is_changed() -> None:
    assert verify(headers(OTHER), secret=[SECRET, OTHER])
    both = headers() | {"Webhook-Signature": f"v1,AAAA v1a,x {headers()['Webhook-Signature']}"}
    assert verify(both)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (headers(OTHER), BODY),
        (headers(), BODY + b" "),
        (headers(at=NOW - 301), BODY),
        (headers(at=NOW + 301), BODY),
        (headers() | {"Webhook-Timestamp": "1e9"}, BODY),
        (headers() | {"Webhook-Timestamp": "٣"}, BODY),
        (headers() | {"Webhook-Id": "s-2"}, BODY),
        (headers() | {"Webhook-Signature": ""}, BODY),
        (headers() | {"Webhook-Signature": "v1,\udcff"}, BODY),
        ({}, BODY),
        (headers(body=b"[]"), b"[]"),
        (headers(body=b"{"), b"{"),
        (headers(body=b'{"id": "s-2"}'), b'{"id": "s-2"}'),
    ],
)
def test_anything_else_is_refused(given: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify(given, body)


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_not base64", "whsec_YWJj"])
def test_a_secret_that_is_none_is_said(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify(headers(), secret=secret)
