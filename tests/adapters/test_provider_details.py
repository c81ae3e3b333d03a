"""
Details of single providers: published check values, rotation, logins, the subscription
handshake, settings.
"""

from __future__ import annotations

import hashlib
import math
import urllib.parse
from typing import Any

import pydantic
import pytest

from adapters.sms import twilio_sms
from kaskad_testing import changed, hook, outgoing
from kaskad_testing.finding import brought
from orchestrator import channels as ch
from tests.adapters import examples_infobip_viber as infobip
from tests.adapters import examples_twilio_sms as twilio
from tests.adapters import examples_whatsapp_cloud as whatsapp
from tests.adapters.test_adapters import ADAPTERS_OF

NO_UNIX_TIMES: tuple[Any, ...] = (
    None,
    True,
    0,
    -5,
    10**400,
    math.nan,
    math.inf,
    "",
    "²",
    "1e9",
    [],
    "9" * 99,
)
CHECKED_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CHECKED_FIELDS = [
    ("Digits", "1234"),
    ("CallSid", "CA1234567890ABCDE"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
    ("From", "+14158675309"),
]


def build(name: str, **changes: Any) -> ch.Adapter[Any]:
    """An adapter with its example's settings; None takes one away."""
    (found,) = (one for one in brought(*ADAPTERS_OF).examples if one.adapter == name)
    settings, kind = {**found.settings, **changes}, found.adapter_type
    return kind(
        kind.settings_type(**{key: value for key, value in settings.items() if value is not None}),
        "main",
    )


# Twilio


def test_twilios_published_signature_is_ours() -> None:
    assert (
        twilio_sms.signature("12345", CHECKED_URL, CHECKED_FIELDS) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    )
    assert (
        twilio_sms.signature("12345", CHECKED_URL, CHECKED_FIELDS * 2)
        == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    )


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://kaskad.example.com:443/r?ref=a", "https://kaskad.example.com/r?ref=a"),
        ("https://kaskad.example.com/r?ref=a", "https://kaskad.example.com:443/r?ref=a"),
        ("http://kaskad.example.com:80/r", "http://kaskad.example.com/r"),
        ("https://[2001:db8::1]:443/r", "https://[2001:db8::1]/r"),
    ],
)
def test_a_proxy_that_adds_or_drops_the_default_port_breaks_no_twilio_signature(
    signed: str, seen: str
) -> None:
    original = hook(
        form={"AccountSid": twilio.ACCOUNT, "MessageSid": twilio.SID, "MessageStatus": "sent"}
    )
    fields = urllib.parse.parse_qsl(original.body.decode())
    proof = {"x-twilio-signature": twilio_sms.signature(twilio.TOKEN, signed, fields)}
    headers = {**original.headers, **proof}
    given = ch.Webhook(
        method="POST", url=seen, query={}, headers=headers, body=original.body, now=0.0
    )
    build("twilio_sms").verify(given)


def json_hook(body: bytes, digest: str) -> ch.Webhook:
    """A JSON webhook as Twilio signs it: the URL alone, which names the hash of the body."""
    unsigned = changed(hook(query={"bodySHA256": digest}), body)
    return changed(
        unsigned, x_twilio_signature=twilio_sms.signature(twilio.TOKEN, unsigned.url, [])
    )


def test_a_json_webhook_of_twilio_is_vouched_for_by_the_hash_in_its_address() -> None:
    body = (
        f'{{"AccountSid": "{twilio.ACCOUNT}", "MessageSid": "{twilio.SID}", "MessageStatus":'
        ' "sent"}'.encode()
    )
    adapter, digest = build("twilio_sms"), hashlib.sha256(body).hexdigest()
    good = json_hook(body, digest)
    adapter.verify(good)
    assert [item.state for item in adapter.receipts(good) if isinstance(item, ch.Receipt)] == [
        ch.Delivery.SENT
    ]
    with pytest.raises(ch.Forged, match="bodySHA256"):
        adapter.verify(json_hook(body + b" ", digest))


def test_a_json_webhook_of_another_twilio_account_is_forged() -> None:
    body = b'{"AccountSid": "AC99", "MessageStatus": "delivered"}'
    with pytest.raises(ch.Forged, match="AccountSid"):
        build("twilio_sms").verify(json_hook(body, hashlib.sha256(body).hexdigest()))


def test_another_accounts_receipt_is_forged_even_where_nothing_is_signed() -> None:
    adapter = build("twilio_sms", allow_unsigned=True)
    with pytest.raises(ch.Forged, match="AccountSid"):
        list(
            adapter.receipts(
                hook(form={"AccountSid": "AC99", "MessageSid": "SM1", "MessageStatus": "delivered"})
            )
        )


def test_a_messaging_service_stands_in_the_place_of_a_sender() -> None:
    adapter = build("twilio_sms", **{"from": None, "messaging_service_sid": "MG0123"})
    assert isinstance(adapter, ch.HttpAdapter)
    form = dict(urllib.parse.parse_qsl(adapter.request(outgoing()).body.decode()))
    assert form["MessagingServiceSid"] == "MG0123" and "From" not in form


@pytest.mark.parametrize("senders", [{"from": None}, {"messaging_service_sid": "MG0123"}])
def test_twilio_wants_one_sender_exactly(senders: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match="exactly one of `from`"):
        build("twilio_sms", **senders)


def test_the_first_of_several_tokens_signs_in() -> None:
    adapter = build("twilio_sms", auth_token=["new", twilio.TOKEN])
    assert isinstance(adapter, ch.HttpAdapter)
    call = adapter.request(outgoing(receipt_url="https://kaskad.example.com/r?a=1"))
    assert call.headers["Authorization"] != f"Basic {twilio.LOGIN}"
    form = dict(urllib.parse.parse_qsl(call.body.decode()))
    assert form["StatusCallback"].startswith("https://kaskad.example.com/r?a=1&ref=")
    assert hides_the_token(adapter.settings)


def hides_the_token(settings: ch.AdapterSettings) -> bool:
    return twilio.TOKEN not in f"{settings!r}{settings.model_dump()}"


# Viber


def test_vibers_published_signature_is_ours() -> None:
    body = (
        b'{"event":"delivered","timestamp":1457764197627,'
        b'"message_token":491266184665523145,"user_id":"01234567890A="}'
    )
    proof = "3bcd95e3a9552c89fa2ddd7cf111f895abc559b640fba4fb4d561ca7a9b6f1b2"
    adapter = build("viber_bot", auth_token="4453b6ac12345678-e02c5f12174805f9-daec9cbb5448c51f")
    given = changed(hook(body=body), x_viber_content_signature=proof)
    adapter.verify(given)
    said = list(adapter.receipts(given))
    assert said == [
        ch.Receipt(state=ch.Delivery.DELIVERED, provider_id="491266184665523145", at=1457764197.627)
    ]


def test_infobip_may_log_in_with_a_name_and_a_password() -> None:
    adapter = build(
        "infobip_viber",
        webhook_token=None,
        webhook_username="Aladdin",
        webhook_password="open sesame",
    )
    adapter.verify(changed(hook(json_body={}), authorization="basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))
    for wrong in ("Basic QWxhZGRpbjpvcGVu", "Bearer open sesame", "Basic", None):
        with pytest.raises(ch.Forged):
            adapter.verify(changed(hook(json_body={}), authorization=wrong))


@pytest.mark.parametrize("given", [None, "Bearer ", "Basic Og==", f"Bearer {infobip.BEARER}"])
def test_a_webhook_of_infobip_is_forged_where_no_login_was_agreed(given: str | None) -> None:
    adapter = build("infobip_viber", webhook_token=None)
    with pytest.raises(ch.Forged, match="webhook_token"):
        adapter.verify(changed(hook(json_body={}), authorization=given))


def test_half_a_login_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="give both or neither"):
        build("infobip_viber", webhook_username="Aladdin")


def test_infobip_reports_clicks_only_where_it_is_asked_to() -> None:
    silent, asked = build("infobip_viber"), build("infobip_viber", track_clicks=True)
    assert silent.reports() == {"sent", "delivered", "read", "replied"}
    assert asked.reports() == asked.supports.receipts
    assert isinstance(asked, ch.HttpAdapter) and isinstance(silent, ch.HttpAdapter)
    promotion = outgoing(message_class="promotional")
    assert b"trackClicks" in asked.request(promotion).body
    assert b"trackClicks" not in asked.request(outgoing()).body
    assert b"trackClicks" not in silent.request(promotion).body


# WhatsApp


def test_metas_check_value_is_ours() -> None:
    proof = "sha256=6eb10e0bc4192e9206e3de93178e66ea9eb262e9ea07bb66abdc83dcf8d3abf3"
    adapter = build("whatsapp_cloud", app_secret="app_secret_example")
    adapter.verify(
        changed(
            hook(body=b'{"object":"whatsapp_business_account","entry":[]}'),
            x_hub_signature_256=proof,
        )
    )


def test_the_challenge_goes_back_to_whoever_knows_the_verify_token() -> None:
    adapter = build("whatsapp_cloud")
    right = whatsapp.asks(mode="subscribe", challenge="115820", verify_token=whatsapp.VERIFY)
    adapter.verify(right)
    assert adapter.answer(right) == ch.Answer(body="115820")
    wrong = whatsapp.asks(mode="subscribe", challenge="115820", verify_token="guess")
    with pytest.raises(ch.Forged):
        adapter.verify(wrong)
    assert adapter.answer(wrong).status == 403


@pytest.mark.parametrize(
    ("content", "in_session"),
    [
        ({"text": "Вітаємо"}, False),
        ({}, True),
        ({"yaml": {"language": "uk"}}, False),
        ({"yaml": "hello"}, True),
    ],
)
def test_free_text_never_leaves_outside_the_session(
    content: dict[str, Any], in_session: bool
) -> None:
    adapter = build("whatsapp_cloud")
    assert isinstance(adapter, ch.HttpAdapter)
    with pytest.raises(ch.Unsendable) as refused:
        adapter.request(outgoing(content=content, in_session=in_session))
    assert refused.value.outcome.reason is ch.Reason.REFUSED_CONTENT


def test_a_preference_that_names_no_number_still_counts() -> None:
    change = {
        "field": "user_preferences",
        "value": {"user_preferences": [whatsapp.preference("stop")]},
    }
    said = list(
        build("whatsapp_cloud").receipts(hook(json_body={"entry": [{"changes": [change]}]}))
    )
    assert said == [whatsapp.prefers("phone", "+380501234567", "out")]


# settings and helpers


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("twilio_sms", "account_sid", "SM123"),
        ("twilio_sms", "account_sid", "AC1/../x"),
        ("twilio_sms", "auth_token", ""),
        ("twilio_sms", "auth_token", []),
        ("twilio_sms", "auth_token", ["good", ""]),
        ("twilio_sms", "base_url", "api.twilio.com"),
        ("infobip_viber", "base_url", None),
        ("infobip_viber", "base_url", "https://x.api.infobip.com?key=1"),
        ("infobip_viber", "api_key", ""),
        ("viber_bot", "sender", "a" * 29),
        ("viber_bot", "avatar", "javascript:alert(1)"),
        ("whatsapp_cloud", "phone_number_id", "+380501234567"),
        ("whatsapp_cloud", "api_version", "25"),
        ("whatsapp_cloud", "app_secret", None),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(name: str, setting: str, value: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match=setting):
        build(name, **{setting: value})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1795600123, 1795600123.0),
        ("1795600123", 1795600123.0),
        (1795600123456, 1795600123.456),
        ("1795600123456", 1795600123.456),
        *((wrong, None) for wrong in NO_UNIX_TIMES),
    ],
)
def test_a_unix_time_is_read_in_seconds_and_in_milliseconds(
    value: Any, seconds: float | None
) -> None:
    assert ch.unix_seconds(value) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2023-02-01T23:00:00.000+0000", 1675292400.0),
        ("2023-02-02T01:00:00+02:00", 1675292400.0),
        ("2023-02-01T23:00:00", 1675292400.0),
        *(
            (wrong, None)
            for wrong in (
                None,
                5,
                "",
                "yesterday",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59",
            )
        ),
    ],
)
def test_an_iso_time_without_an_offset_is_utc(value: Any, seconds: float | None) -> None:
    assert ch.iso_seconds(value) == seconds


@pytest.mark.parametrize(
    ("value", "phone"),
    [
        ("380501234567", "+380501234567"),
        ("+380501234567", "+380501234567"),
        *(
            (wrong, None)
            for wrong in (
                None,
                380501234567,
                "",
                "+",
                "0501234567",
                "++380501234567",
                "1" * 16,
                "٣٨٠٥٠١٢٣٤٥٦٧",
            )
        ),
    ],
)
def test_a_phone_is_e164_or_nothing(value: Any, phone: str | None) -> None:
    assert ch.e164(value) == phone
