"""What others write is kept without addresses, names and the words of a message."""

from __future__ import annotations

import pytest

from orchestrator.primitives.masking import masked, without

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
