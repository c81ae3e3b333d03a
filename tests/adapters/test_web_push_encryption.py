"""
Web push, byte for byte: the RFC's own vectors, other people's decryption, and the signature that
pays for it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import http_ece
import pydantic
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.web_push.encryption import (
    PLAINTEXT_BYTES_MAX,
    encrypt,
    private_key_from,
    public_point,
)
from adapters.web_push.vapid import WebPush, WebPushSettings, audience_of, decode, topic_of
from kaskad_testing import NOW, RECEIPT_URL, outgoing
from orchestrator import channels as ch
from orchestrator.channels.signing import base64url as encode
from orchestrator.sandbox.push_crypto import check_vapid
from tests.adapters.examples_web_push import (
    BROWSER,
    BROWSERS_KEY,
    ENDPOINT,
    KEY,
    PEM,
    message,
    opened,
)

R = ch.Reason
PLAINTEXT = b"When I grow up, I want to be a watermelon"
AS_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
    "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
SUBSCRIPTION = dict(BROWSER)
POINT, AUTH = decode(SUBSCRIPTION["p256dh"]), decode(SUBSCRIPTION["auth"])


def push(**changed: Any) -> WebPush:
    return WebPush(
        WebPushSettings(**{"private_key": PEM, "subject": "mailto:ops@example.com", **changed}),
        "vapid",
    )


def addressed(endpoint: str = ENDPOINT, **keys: str) -> ch.Outgoing:
    return message(
        address=ch.Address("web_push", endpoint, "hash", tuple({**SUBSCRIPTION, **keys}.items()))
    )


def refusal(refused: ch.Outgoing) -> tuple[R, str | None]:
    with pytest.raises(ch.Unsendable) as error:
        push().request(refused)
    return error.value.outcome.reason, error.value.outcome.code


def private(scalar: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decode(scalar), "big"), ec.SECP256R1())


# encryption


def test_the_example_of_rfc_8291_comes_out_byte_for_byte() -> None:
    assert encode(encrypt(PLAINTEXT, POINT, AUTH, private(AS_PRIVATE), decode(SALT))) == BODY


def test_the_example_of_rfc_8291_is_what_its_browser_can_open() -> None:
    assert http_ece.decrypt(decode(BODY), private_key=BROWSERS_KEY, auth_secret=AUTH) == PLAINTEXT


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=PLAINTEXT_BYTES_MAX),
    st.binary(min_size=48, max_size=48),
    st.binary(min_size=16, max_size=16),
)
def test_whatever_is_encrypted_is_what_the_browser_reads(
    plaintext: bytes, entropy: bytes, salt: bytes
) -> None:
    body = encrypt(plaintext, POINT, AUTH, private_key_from(entropy), salt)
    assert len(body) == len(plaintext) + 103
    assert http_ece.decrypt(body, private_key=BROWSERS_KEY, auth_secret=AUTH) == plaintext


@pytest.mark.parametrize("size", [0, 1, PLAINTEXT_BYTES_MAX - 1, PLAINTEXT_BYTES_MAX])
def test_the_largest_payload_fills_exactly_what_every_push_service_takes(size: int) -> None:
    body = encrypt(b"x" * size, POINT, AUTH, private(AS_PRIVATE), decode(SALT))
    assert len(body) <= 4096 and (len(body) == 4096) == (size == 3993)


@pytest.mark.parametrize("entropy", [b"\x00" * 48, b"\xff" * 48, bytes(range(48))])
def test_any_entropy_makes_a_key(entropy: bytes) -> None:
    assert len(public_point(private_key_from(entropy).public_key())) == 65


COMPRESSED = BROWSERS_KEY.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
)


@pytest.mark.parametrize(
    ("point", "auth"),
    [
        *(
            (point, AUTH)
            for point in (b"", POINT[:-1], POINT + b"x", b"\x04" + b"\x01" * 64, COMPRESSED)
        ),
        *((POINT, auth) for auth in (b"", AUTH[:-1], AUTH + b"x")),
    ],
)
def test_keys_that_no_browser_makes_are_refused(point: bytes, auth: bytes) -> None:
    with pytest.raises(ValueError):
        encrypt(b"x", point, auth, private(AS_PRIVATE), decode(SALT))


# the message


def test_the_payload_has_everything_the_worker_needs_at_its_top_level() -> None:
    extra = {
        "url": "https://shop.example.com/cart",
        "icon": "https://shop.example.com/i.png",
        "image": "https://shop.example.com/b.png",
        "tag": "cart-1",
        "actions": [
            {"title": "Купити", "url": "https://shop.example.com/buy"},
            {"action": "later", "title": "Пізніше"},
        ],
    }
    sent = message(
        content={"title": "Кошик", "text": "Два товари", "yaml": extra}, receipt_token="rt-1"
    )
    payload = opened(push().request(sent).body)
    assert payload == {
        "mid": sent.message_id,
        "rt": "rt-1",
        "report": RECEIPT_URL,
        "title": "Кошик",
        "text": "Два товари",
        **extra,
        "actions": [{**extra["actions"][0], "action": "0"}, extra["actions"][1]],  # type: ignore[dict-item]
    }


def test_a_template_cannot_take_the_place_of_our_own_keys() -> None:
    forged = {
        "mid": "x",
        "rt": "x",
        "report": "https://evil.example",
        "title": "x",
        "web_push": 8030,
        "tag": "t",
    }
    payload = opened(
        push().request(message(content={"title": "T", "text": "t", "yaml": forged})).body
    )
    assert (payload["title"], payload["report"], payload["tag"]) == ("T", RECEIPT_URL, "t")
    assert set(payload) == {"mid", "rt", "report", "title", "text", "tag"}


def test_a_payload_fits_up_to_its_last_byte_and_not_beyond() -> None:
    used = len(
        json.dumps(
            opened(push().request(message(content={"title": "t", "text": ""})).body),
            separators=(",", ":"),
        )
    )
    room = PLAINTEXT_BYTES_MAX - used
    assert len(push().request(message(content={"title": "t", "text": "x" * room})).body) == 4096
    assert refusal(message(content={"title": "t", "text": "x" * (room + 1)})) == (
        R.REFUSED_CONTENT,
        "too_large",
    )


def test_a_notification_without_a_title_is_the_contents_fault_and_not_the_address_s() -> None:
    assert refusal(message(content={"text": "t"})) == (R.REFUSED_CONTENT, "no_title")


@pytest.mark.parametrize(
    "keys",
    [
        {"p256dh": ""},
        {"auth": ""},
        {"p256dh": "not base64!"},
        {"auth": "BTBZMqHH6r4Tts7J_aSI"},
        {"p256dh": encode(b"\x04" + b"\x01" * 64)},
    ],
)
def test_unusable_keys_mark_the_address(keys: dict[str, str]) -> None:
    assert refusal(addressed(**keys)) == (R.REFUSED_ADDRESS, "bad_keys")


def test_a_subscription_without_keys_marks_the_address() -> None:
    assert refusal(message(address=ch.Address("web_push", ENDPOINT, "hash"))) == (
        R.REFUSED_ADDRESS,
        "bad_keys",
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "x",
        "ftp://x.example/",
        "https://",
        "https://x.example:y/",
        "https://x.example/\r\nX: y",
        "https://x.example/ї",
    ],
)
def test_an_endpoint_that_is_no_url_marks_the_address(endpoint: str) -> None:
    assert refusal(addressed(endpoint)) == (R.REFUSED_ADDRESS, "bad_endpoint")


def test_plain_base64_of_the_keys_is_taken_too() -> None:
    keys = {name: base64.b64encode(decode(value)).decode() for name, value in BROWSER}
    assert push().request(addressed(**keys)).body == push().request(message()).body


def test_a_subscription_of_another_key_is_skipped_before_it_shuts_the_provider() -> None:
    other = encode(public_point(private(AS_PRIVATE).public_key()))
    assert refusal(addressed(vapid_key_id=other)) == (R.REFUSED_RECIPIENT, "other_key")
    assert push().request(addressed(vapid_key_id=push().public_key))
    assert push().request(addressed(vapid_key_id="key-2026"))


@pytest.mark.parametrize(
    ("message_class", "setting", "urgency"),
    [
        ("otp", None, "high"),
        ("transactional", None, "high"),
        ("service", None, "normal"),
        ("promotional", None, "low"),
        ("otp", "very-low", "very-low"),
    ],
)
def test_urgency_follows_the_class_unless_it_is_set(
    message_class: str, setting: str | None, urgency: str
) -> None:
    assert (
        push(urgency=setting).request(message(message_class=message_class)).headers["Urgency"]
        == urgency
    )


@pytest.mark.parametrize(
    ("asked", "limit", "ttl"), [(600, None, "600"), (600, 60, "60"), (60, 600, "60"), (600, 0, "0")]
)
def test_the_time_to_live_is_the_messages_up_to_the_setting(
    asked: int, limit: int | None, ttl: str
) -> None:
    assert push(ttl=limit).request(message(ttl_seconds=asked)).headers["TTL"] == ttl


@given(st.text(min_size=1))
def test_a_topic_is_legal_and_hides_the_tag(tag: str) -> None:
    topic = topic_of(tag)
    assert (
        len(topic) == 32 and topic.replace("-", "a").replace("_", "a").isalnum() and topic.isascii()
    )


def test_an_endpoint_is_guarded_because_a_browser_named_it() -> None:
    assert push().request(message()).guarded


# the signature


def test_the_signature_is_one_that_a_push_service_accepts() -> None:
    header = push().request(message()).headers["Authorization"]
    origin = "https://updates.push.services.mozilla.com"
    assert check_vapid(header, origin=origin, now=NOW) == public_point(KEY.public_key())


def claims(adapter: WebPush, sent: ch.Outgoing) -> dict[str, Any]:
    token = adapter.request(sent).headers["Authorization"].partition("t=")[2].partition(",")[0]
    found: dict[str, Any] = json.loads(decode(token.split(".")[1]))
    return found


def test_one_signature_serves_a_push_service_for_half_of_its_life() -> None:
    adapter = push()
    first = adapter.request(message()).headers["Authorization"]
    other_entropy = message(entropy=bytes(64), now=NOW + 6 * 3600 - 1)
    assert adapter.request(other_entropy).headers["Authorization"] == first
    later = message(now=NOW + 6 * 3600)
    assert adapter.request(later).headers["Authorization"] != first
    assert claims(adapter, later)["exp"] == NOW + 18 * 3600


def test_a_clock_that_was_set_back_gets_a_signature_that_is_not_from_its_future() -> None:
    adapter = push()
    adapter.request(message())
    assert claims(adapter, message(now=NOW - 3600))["exp"] == NOW + 11 * 3600


def test_each_push_service_gets_a_signature_of_its_own() -> None:
    adapter = push()
    assert (
        claims(adapter, addressed("https://fcm.googleapis.com/x"))["aud"]
        == "https://fcm.googleapis.com"
    )
    assert claims(adapter, addressed("http://127.0.0.1:8090/x"))["aud"] == "http://127.0.0.1:8090"
    assert claims(adapter, message())["sub"] == "mailto:ops@example.com"


def test_invented_endpoints_do_not_fill_the_memory() -> None:
    adapter = push()
    for number in range(400):
        adapter.request(addressed(f"https://h{number}.example/x"))
    assert len(adapter._tokens) <= 256


@pytest.mark.parametrize(
    ("endpoint", "audience"),
    [
        ("https://FCM.googleapis.com:443/a?b#c", "https://fcm.googleapis.com"),
        ("https://x.example:8443/a", "https://x.example:8443"),
        ("http://x.example:80/", "http://x.example"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
        ("https://user@x.example/", "https://x.example"),
    ],
)
def test_the_audience_is_the_origin_and_nothing_more(endpoint: str, audience: str) -> None:
    assert audience_of(endpoint) == audience


# settings


def pem(key: Any, form: serialization.PrivateFormat, password: bytes | None = None) -> str:
    how = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, how)
    return text.decode()


def test_both_usual_forms_of_the_key_are_taken() -> None:
    traditional = pem(KEY, serialization.PrivateFormat.TraditionalOpenSSL)
    assert push(private_key=traditional).public_key == push().public_key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "canary",
        PEM.replace("M", "N", 40),
        pem(ec.generate_private_key(ec.SECP384R1()), serialization.PrivateFormat.PKCS8),
        pem(generate_private_key(65537, 2048), serialization.PrivateFormat.PKCS8),
        pem(KEY, serialization.PrivateFormat.PKCS8, b"password"),
    ],
)
def test_another_kind_of_key_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        push(private_key=key)
    (error,) = refused.value.errors()
    assert error["loc"] == ("private_key",) and "must be" in error["msg"]
    assert not key or key not in error["msg"]


@pytest.mark.parametrize(
    "subject",
    ["", "ops@example.com", "http://x.example", "mailto:", "https://", "mailto:a@b\r\nX: y"],
)
def test_a_contact_that_nobody_can_write_to_is_refused(subject: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="subject"):
        push(subject=subject)


def test_the_request_depends_on_the_message_alone() -> None:
    sent = message()
    assert push().request(sent) == push().request(sent)
    assert push().request(replace(sent, entropy=bytes(64))).body != push().request(sent).body
    assert outgoing().entropy == sent.entropy
