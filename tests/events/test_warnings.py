"""One bad part of a recipient is left out with a warning; it never takes anything else along."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.facts import IntakeWarning
from orchestrator.events.cloudevents import parse_structured
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.recipients.intake import near
from tests.events.test_cloudevents import body, person

KEYS = {"p256dh": "k", "auth": "a"}


def fan_out(*recipients: Any) -> Event:
    return parse_structured(body(data={"recipients": list(recipients)}))


def places(event: Event) -> list[tuple[str | None, str]]:
    return [(one.recipient, one.field) for one in event.warnings]


def test_a_bad_phone_leaves_the_mailbox_and_everybody_else() -> None:
    event = fan_out(
        {"id": "olena", "phone": "12", "email": "olena@example.com"},
        {"id": "petro", "phone": "+380501234567"},
    )
    assert event.recipients == [
        {"id": "olena", "email": "olena@example.com"},
        {"id": "petro", "phone": "+380501234567"},
    ]
    assert event.warnings == [
        IntakeWarning(
            "olena",
            "data.recipients[0].phone",
            "it is not a phone number in E.164",
            'write it like "+380501234567"',
        )
    ]


@pytest.mark.parametrize("bad", [{}, {"id": ""}, {"id": None}, None, "petro", 7, [], {"id": []}])
def test_a_recipient_that_cannot_be_named_is_refused_alone(bad: Any) -> None:
    event = fan_out({"id": "olena"}, bad, {"id": "ivan"})
    assert [one["id"] for one in event.recipients] == ["olena", "ivan"]
    [(recipient, field)] = places(event)
    assert recipient is None and field.startswith("data.recipients[1]")


def test_an_event_is_refused_only_if_nobody_is_left() -> None:
    with pytest.raises(Malformed) as caught:
        fan_out({"id": ""}, "petro", {})
    assert (caught.value.code, caught.value.field) == ("bad_recipient", "data.recipients[0].id")


def test_of_a_list_only_the_bad_entries_are_left_out() -> None:
    good = {"endpoint": "https://push.example/1", "keys": KEYS}
    event = parse_structured(
        person(
            web_push=[{"endpoint": "x", "keys": KEYS}, good, {"endpoint": "https://a.example/"}],
            devices=[{"platform": "fcm", "token": "t"}, {"platform": "palm", "token": "t"}],
            consents=[{"state": "maybe"}, {"state": "out", "channel": "sms"}, {"chanel": "sms"}],
        )
    )
    [olena] = event.recipients
    assert olena["web_push"] == [good]
    assert olena["devices"] == [{"platform": "fcm", "token": "t"}]
    assert [(one["channel"], one["state"]) for one in olena["consents"]] == [("sms", "out")]
    assert [field.removeprefix("data.recipient.") for _, field in places(event)] == [
        "web_push[0].endpoint",
        "web_push[2]",
        "devices[1].platform",
        "consents[0].state",
        "consents[2].state",
    ]


def test_a_bad_value_does_not_remove_what_is_stored_as_null_does() -> None:
    assert parse_structured(person(phone="12")).recipients == [{"id": "olena"}]
    assert parse_structured(person(phone=None)).recipients == [{"id": "olena", "phone": None}]


def test_the_warnings_of_an_event_are_bounded() -> None:
    many = [{"state": "maybe"} for _ in range(40)]
    event = fan_out(*({"id": f"r{n}", "consents": many} for n in range(60)))
    assert len(event.recipients) == 60
    assert len(event.warnings) == 1_000
    assert len([one for one in event.warnings if one.recipient == "r0"]) == 20


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("uk-UA-u-ms-metric", "uk-UA"),
        ("uk-UA-u-ca-gregory-nu-latn-t-ru-m0-x-shop-1", "uk-UA"),
        ("en-x-private", "en"),
        ("zh-Hans-CN", "zh-Hans-CN"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("uk_UA.UTF-8", "uk-UA"),
        ("ca_ES@euro", "ca-ES"),
        ("\u200euk-UA\u00a0", "uk-UA"),
        ("uk-u-" + "-".join(["abcdefgh"] * 15), "uk"),
    ],
)
def test_extensions_of_a_locale_are_accepted_and_ignored(given: str, kept: str) -> None:
    event = parse_structured(person(locale=given))
    assert (event.recipients[0]["locale"], list(event.warnings)) == (kept, [])


@pytest.mark.parametrize("given", ["u-ms", "x-shop", "uk-u", "uk-UA-u-", "uk--UA", "-"])
def test_half_a_locale_is_left_out(given: str) -> None:
    event = parse_structured(person(locale=given))
    assert places(event) == [("olena", "data.recipient.locale")]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lang", "locale"),
        ("Language", "locale"),
        ("mail", "email"),
        ("e-mail", "email"),
        ("emial", "email"),
        ("eMail", "email"),
        ("tel", "phone"),
        ("phone_number", "phone"),
        ("phonenumber", "phone"),
        ("Phone", "phone"),
        ("mobile", "phone"),
        ("timezone", "time_zone"),
        ("timeZone", "time_zone"),
        ("tz", "time_zone"),
        ("firstName", "first_name"),
        ("lastname", "last_name"),
        ("webPush", "web_push"),
        ("consent", "consents"),
        ("ID", "id"),
    ],
)
def test_a_key_near_a_known_one_warns_and_is_kept_as_an_attribute(key: str, meant: str) -> None:
    event = parse_structured(person(**{key: "x"}))
    assert event.recipients == [{"id": "olena", key: "x"}]
    [warning] = event.warnings
    assert (warning.field, warning.fix) == (f"data.recipient.{key}", f"did you mean {meant}?")


@pytest.mark.parametrize(
    "key", ["shoe_size", "email_engaged", "email2", "city", "vip", "name", "дата", "", "x" * 5_000]
)
def test_other_keys_are_attributes_without_a_word(key: str) -> None:
    assert near(key) is None
    assert parse_structured(person(**{key: "x"})).warnings == []
