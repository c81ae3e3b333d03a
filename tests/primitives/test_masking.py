"""What others write is kept without addresses, names and the words of a message."""

from __future__ import annotations

import orjson
import pytest

from orchestrator.primitives.masking import OUTLINE_BYTES_MAX, masked, outline, without

PERSON = {
    "first_name": "Олена",
    "last_name": "Kovalenko-Canary",
    "phone": "+380501234567",
    "email": "olena.canary@example.com",
    "attributes": {"city": "Чернівці", "card": 4111222233},
}
EVENT = {"items": [{"name": "Парфуми Canary", "code": "PROMO77"}], "total": 3601.5}
ECHOES = [
    "Message 'Привіт, Олено! Ваші Парфуми' was blocked",
    "cannot send to olena.canary@example.com",
    "number 380501234567 is not reachable",
    "number 38 (050) 123-45-67 is not reachable",
    "hello kovalenko, your parcel",
    "HELLO KOVALENKO-CANARY",
    r"text \u041e\u043b\u0435\u043d\u0430 refused",
    "text &#1054;&#1083;&#1077;&#1085;&#1072; refused",
    "text %D0%9E%D0%BB%D0%B5%D0%BD%D0%B0 refused",
    "content: 'code promo77 in Чернівцях'",
    "card 4111222233 in the text",
    "order of 3601.5 UAH",
    "see https://shop.example/u/secret-token?x=1 and postgresql://u:pw@db/x",
]


@pytest.mark.parametrize("echo", ECHOES)
def test_nothing_of_the_person_or_the_message_is_left_of_an_echo(echo: str) -> None:
    kept = without(echo, [PERSON, EVENT]).casefold()
    for word in (
        *("олен", "kovalenko", "canary", "380501234567", "123-45", "парфум", "promo77", "чернівц"),
        *("4111222233", "3601", "secret-token", "pw@"),
    ):
        assert word not in kept, kept


@pytest.mark.parametrize(
    "words",
    ["Message undeliverable", "131026", "5.1.1", "UNAUTHORIZED", "The sender id is not approved"],
)
def test_the_provider_s_own_words_stay(words: str) -> None:
    assert without(words, [PERSON, EVENT]) == words


def test_masking_again_changes_nothing() -> None:
    for echo in ECHOES:
        once = without(echo, [PERSON, EVENT])
        assert without(once, [PERSON, EVENT]) == once and masked(once) == once


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
