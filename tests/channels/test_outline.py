"""The store keeps no address and no text of a webhook."""

from __future__ import annotations

import orjson
import pytest

from orchestrator.channels.outline import OUTLINE_BYTES_MAX, outline


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"from": "380501234567", "text": {"body": "canary reply"}}]}',
        b'{"contacts": [{"profile": {"name": "Canary"}, "wa_id": "380501234567"}]}',
        b'{"canary@example.com": 380501234567, "n": 1.5}',
        b"From=%2B380501234567&Body=canary+reply&MessageStatus=delivered",
        b"From: canary@example.com\r\n\r\ncanary reply",
        b'["canary"]',
        b'"canary"',
        b"\xff\x00canary",
        b"{" * 500 + b"canary",
    ],
)
def test_an_outline_of_a_webhook_has_no_address_and_no_text(body: bytes) -> None:
    kept = outline(body)
    assert b"canary" not in kept.lower() and b"38050" not in kept
    orjson.loads(kept)


def test_an_outline_shows_what_a_provider_reported() -> None:
    body = {"results": [{"to": "380501234567", "status": {"name": "DELIVERED", "groupId": 3}}]}
    assert orjson.loads(outline(orjson.dumps(body))) == {
        "results": [{"to": "***", "status": {"name": "DELIVERED", "groupId": 3}}]
    }
    form = outline(b"MessageSid=SM1&MessageStatus=delivered")
    assert orjson.loads(form) == {"MessageSid": "***", "MessageStatus": "delivered"}


@pytest.mark.parametrize("size", [10_000, 100_000, 4_000_000])
def test_an_outline_is_small_however_large_the_webhook(size: int) -> None:
    body = orjson.dumps({"statuses": [{"status": "delivered"}] * (size // 25)})
    assert len(outline(body)) <= OUTLINE_BYTES_MAX
