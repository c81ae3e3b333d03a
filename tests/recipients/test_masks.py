"""Masks: made-up data of the same shape, and always the same for the same person."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from orchestrator.channels.phones import country_of, normal_phone
from orchestrator.recipients.fields import recipient_profile
from orchestrator.recipients.masks import Masks, words_of

OLENA = {"id": "u-1", "first_name": "Олена", "last_name": "Коваль"}


def keyed_hash(purpose: str, text: str) -> str:
    return hashlib.sha256(f"key {purpose}\0{text}".encode()).hexdigest()[:32]


MASKS = Masks(keyed_hash)


@pytest.mark.parametrize("start", ["+380501110000", "+48501110000", "+12125550000", "+37061110000"])
def test_masked_phones_are_valid_of_the_same_country_and_all_different(start: str) -> None:
    numbers = [f"{start[:-4]}{n:04d}" for n in range(0, 10_000, 33)]
    found = [MASKS.phone(number) for number in numbers]
    assert len(set(found)) == len(numbers)
    for number, mask in itertools.islice(zip(numbers, found, strict=True), 50):
        assert normal_phone(mask) == mask != number
        assert country_of(mask) == country_of(number)


@pytest.mark.parametrize(
    "name", ["Олена", "Ірина-Марія", "O'Brien", "Łukasz", "გიორგი", "Ян", "李"]
)
def test_a_masked_name_has_the_shape_of_the_name(name: str) -> None:
    found = MASKS.name(name)
    assert len(found) == len(name)
    assert [c.isalpha() for c in found] == [c.isalpha() for c in name]
    assert [c.isupper() for c in found] == [c.isupper() for c in name]
    assert found != name or len(name) == 1
    assert MASKS.name(name) == found


def test_what_is_masked_in_a_text_is_masked_as_in_the_profile() -> None:
    known = words_of(OLENA)
    text = "Олена, тел. +380501112233, olena@example.com: 12.50 грн до 2026-11-21"
    found = MASKS.text(text, known)
    assert found == (
        f"{MASKS.name('Олена')}, тел. {MASKS.phone('+380501112233')},"
        f" {MASKS.mailbox('olena@example.com')}: 12.50 грн до 2026-11-21"
    )
    for inflected in ("Олени", "Олено", "Ковалю", "КОВАЛЯ"):
        assert inflected not in MASKS.text(f"для {inflected}", known)
    assert MASKS.text("2026-11-21T10:00:00Z", known) == "2026-11-21T10:00:00Z"
    assert MASKS.text("https://shop.example/o?token=Ab12", known).startswith(
        "https://shop.example/"
    )
    assert "Ab12" not in MASKS.text("https://shop.example/o?token=Ab12", known)


def test_data_is_masked_by_the_names_of_its_fields_and_nothing_else_is() -> None:
    masks = Masks(keyed_hash, also=["Street"])
    data = {
        "total": 1200.5,
        "kind": "premium",
        "ready": True,
        "buyer": {"firstName": "Ivan", "tel": "+380501112233", "street": "Lvivska 7"},
        "mail": ["a@b.example"],
        "items": [{"name": "Вишиванка", "price": 1890}],
    }
    found = masks.data(data, frozenset())
    assert {**found, "buyer": 0, "mail": 0} == {**data, "buyer": 0, "mail": 0}
    assert found["buyer"]["tel"] == masks.phone("+380501112233")
    assert found["mail"] == [masks.mailbox("a@b.example")]
    assert (
        "Ivan" not in str(found)
        and "Lvivska" not in str(found)
        and "7" not in str(found["buyer"]["street"])
    )


def test_a_masked_profile_can_be_read_like_any_other() -> None:
    profile = {
        **OLENA,
        "phone": "+380501112233",
        "email": "olena@example.com",
        "locale": "uk-UA",
        "time_zone": "Europe/Kyiv",
        "gender": "female",
        "viber_bot_id": "Ab12+/cd==",
        "telegram_id": "712345678",
        "devices": [{"platform": "fcm", "token": "abc-def", "app": "ua.shop"}],
        "web_push": [
            {
                "endpoint": "https://push.example.com/browser/1",
                "keys": {"p256dh": "key-1", "auth": "secret-1"},
            }
        ],
        "consents": [{"channel": "sms", "topic": "*", "state": "out", "source": "Olena called"}],
        "attributes": {"tier": "gold", "nick": "Оленка"},
    }
    found = MASKS.profile(profile)
    assert recipient_profile(found, None, "") == found
    for name in ("locale", "time_zone", "gender"):
        assert found[name] == profile[name]
    assert found["attributes"]["tier"] == "gold"
    assert found["consents"] == [{"channel": "sms", "topic": "*", "state": "out", "source": ""}]
    text = str(found)
    for personal in ("Олен", "Ковал", "olena", "Olena", "1112233", "712345678", "abc-def", "key-1"):
        assert personal not in text
    assert found["web_push"][0]["endpoint"].startswith("https://push.example.com/")
    assert found["devices"][0]["app"] == "ua.shop"
