"""Tokens, clocks, keys and room: what FCM and APNs need besides the contract of every adapter."""

from __future__ import annotations

import base64
import itertools
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pydantic import ValidationError

from adapters.mobile_push.apns import Apns, ApnsSettings
from adapters.mobile_push.content import PAYLOAD_BYTES_MAX
from adapters.mobile_push.fcm import Fcm, FcmSettings
from kaskad_testing import NOW, reply
from orchestrator import channels as ch
from orchestrator.channels.mobile_push import data_problem
from tests.adapters import examples_apns as apple
from tests.adapters import examples_fcm as google

R = ch.Reason
MINUTE = 60


def apns(**changed: Any) -> Apns:
    return Apns(ApnsSettings.model_validate({**apple.EXAMPLES.settings, **changed}), "apple")


def fcm(**changed: Any) -> Fcm:
    return Fcm(FcmSettings.model_validate({**google.EXAMPLES.settings, **changed}), "google")


def token_of(adapter: Apns, now: float) -> str:
    header: str = adapter.request(apple.message(now=now)).headers["authorization"]
    assert header.startswith("bearer ")
    return header.removeprefix("bearer ")


def part(token: str, number: int) -> Any:
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


# ---- Apple's provider token


def test_apple_s_token_is_signed_as_documented() -> None:
    token = token_of(apns(), NOW)
    assert part(token, 0) == {"alg": "ES256", "kid": "ABC123DEFG"}
    assert part(token, 1)["iss"] == "DEF123GHIJ" and set(part(token, 1)) == {"iss", "iat"}
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    apple.KEY.public_key().verify(
        encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256())
    )


def test_a_token_is_never_older_than_an_hour_and_changes_every_twenty_minutes_at_most() -> None:
    adapter, changes, last = apns(), [], ""
    for minute in range(24 * 60):
        now = NOW + minute * MINUTE
        token = token_of(adapter, now)
        assert 0 <= now - part(token, 1)["iat"] < 60 * MINUTE
        if token != last:
            changes.append(minute)
        last = token
    gaps = [after - before for before, after in itertools.pairwise(changes[1:])]
    assert min(gaps) >= 20 and max(gaps) <= 60


def test_all_processes_sign_the_same_token() -> None:
    assert {token_of(apns(), NOW + second) for second in (0, 1)} == {token_of(apns(), NOW)}


def expired(sent: str, now: float, **headers: str) -> ch.HttpReply:
    call = apns().request(apple.message(now=NOW))
    call = ch.HttpCall(
        method="POST", url=call.url, headers={"authorization": f"bearer {sent}"}, body=b""
    )
    body = json.dumps({"reason": "ExpiredProviderToken"}).encode()
    return ch.HttpReply(status=403, headers=headers, body=body, now=now, request=call)


def test_an_expired_token_is_replaced_and_the_message_goes_again() -> None:
    adapter = apns()
    old = token_of(adapter, NOW)
    again = ch.NotSent(R.NOT_TAKEN, 0, "ExpiredProviderToken")
    assert adapter.outcome(expired(old, NOW)) == again
    new = token_of(adapter, NOW)
    assert part(new, 1)["iat"] == int(NOW) and new != old
    assert adapter.outcome(expired(old, NOW + 1)) == again, "it was on its way with the old one"
    assert token_of(adapter, NOW + 2) == new
    adapter.outcome(expired(new, NOW + 30 * MINUTE))
    assert part(token_of(adapter, NOW + 30 * MINUTE), 1)["iat"] == int(NOW) + 30 * MINUTE


def test_a_new_token_that_is_expired_at_once_means_that_our_clock_is_wrong() -> None:
    adapter = apns()
    adapter.outcome(expired(token_of(adapter, NOW), NOW))
    date = format_datetime(datetime.fromtimestamp(NOW + 7_200, UTC), usegmt=True)
    outcome = adapter.outcome(expired(token_of(adapter, NOW), NOW, date=date))
    assert outcome == ch.Refused(
        R.REFUSED_CONFIGURATION,
        "ExpiredProviderToken",
        "our clock is 120 minutes behind Apple's",
    )


def test_a_clock_that_is_ahead_is_named_where_the_token_is_invalid() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW - 1_800, UTC), usegmt=True)
    outcome = apns().outcome(reply(403, {"reason": "InvalidProviderToken"}, date=date))
    assert isinstance(outcome, ch.Refused)
    assert outcome.detail == "our clock is 30 minutes ahead of Apple's"


def test_another_key_signs_another_token() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    rotated = apns(key=pem.decode(), key_id="ZZZ999ZZZ9")
    assert part(token_of(rotated, NOW), 0)["kid"] == "ZZZ999ZZZ9"
    assert token_of(rotated, NOW) != token_of(apns(), NOW)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key": "/run/secrets/key.p8"}, "must be an unencrypted PEM private key"),
        ({"key": google.PEM}, "must be a key on the curve P-256"),
        ({"key_id": "short"}, "should match pattern"),
        ({"topic": []}, "at least 1 item"),
    ],
)
def test_wrong_settings_of_apns_say_what_is_wrong(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        apns(**changed)
    assert "PRIVATE" not in str(caught.value).replace("BEGIN PRIVATE KEY-----)", "")


# ---- devices


def test_a_device_of_an_app_that_the_account_does_not_have_is_left_out() -> None:
    with pytest.raises(ch.Unsendable) as caught:
        apns().request(apple.message("com.example.other"))
    assert (caught.value.outcome.reason, caught.value.outcome.code) == (
        R.REFUSED_RECIPIENT,
        "other_app",
    )


def test_what_is_no_token_of_apple_never_leaves() -> None:
    address = ch.Address("apns_device", "../../3/device/0", "hash")
    with pytest.raises(ch.Unsendable) as caught:
        apns().request(apple.message(address=address))
    assert caught.value.outcome.reason is R.REFUSED_ADDRESS


# ---- Google's access token


def test_google_s_token_is_asked_for_as_documented() -> None:
    call = fcm().login(NOW)
    assert call.url == "https://oauth2.googleapis.com/token"
    form = dict(pair.split("=", 1) for pair in call.body.decode().split("&"))
    assert form["grant_type"] == "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
    assertion = form["assertion"]
    assert part(assertion, 0) == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": "0123456789abcdef0123456789abcdef01234567",
    }
    assert part(assertion, 1) == {
        "iss": "push@shop-17.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": int(NOW),
        "exp": int(NOW) + 3_600,
    }
    signed, _, signature = assertion.rpartition(".")
    google.KEY.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="),
        signed.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(200, {"access_token": "ya29.x", "expires_in": 3599}), ch.Access),
        (reply(400, {"error": "invalid_grant", "error_description": "no account"}), ch.Refused),
        (reply(401, {"error": "invalid_client"}), ch.Refused),
        (reply(429, {}), ch.NotSent),
        (reply(503, b"down"), ch.NotSent),
        (reply(200, {"access_token": "ya29.x"}), ch.NotSent),
        (reply(200, {"access_token": 7, "expires_in": 10}), ch.NotSent),
        (reply(200, b"<html>"), ch.NotSent),
    ],
)
def test_an_answer_about_the_access_token(answer: ch.HttpReply, kind: type) -> None:
    assert isinstance(fcm().access(answer), kind)


def test_what_google_says_of_a_refused_key_reaches_the_operator() -> None:
    body = {"error": "invalid_grant", "error_description": "Invalid JWT: check your iat and exp"}
    outcome = fcm().access(reply(400, body))
    assert isinstance(outcome, ch.Refused) and outcome.reason is R.REFUSED_CONFIGURATION
    assert "check your iat" in outcome.detail and "oauth2.googleapis.com" in outcome.detail


def test_a_401_about_apple_s_key_in_firebase_says_nothing_of_our_token() -> None:
    adapter = fcm()
    assert adapter.token_ended(google.error(401, "UNAUTHENTICATED", None))
    assert not adapter.token_ended(google.error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))


def small_key() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/run/secrets/fcm.json", "this is no JSON"),
        ("[]", "this is no JSON object"),
        ('{"type": "authorized_user"}', "its `type` is not"),
        (json.dumps({**google.ACCOUNT, "client_email": ""}), "it has no `client_email`"),
        (json.dumps({**google.ACCOUNT, "token_uri": "x"}), "its `token_uri` is not a URL"),
        (json.dumps({**google.ACCOUNT, "private_key": "x"}), "must be an unencrypted PEM"),
        (json.dumps({**google.ACCOUNT, "private_key": apple.PEM}), "must be an RSA key"),
        (json.dumps({**google.ACCOUNT, "private_key": small_key()}), "at least 2048 bits"),
    ],
)
def test_a_wrong_service_account_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        fcm(service_account=text)


# ---- room


def long_text(adapter: str, text: str, **yaml: Any) -> str:
    """The text as the phone gets it, when the payload would be larger than it may be."""
    content = {"title": "Новини", "text": text, "yaml": yaml}
    if adapter == "apns":
        body = apns().request(apple.message(content=content)).body
        assert len(body) <= PAYLOAD_BYTES_MAX
        said: str = json.loads(body)["aps"]["alert"]["body"]
        return said
    found = json.loads(fcm().request(google.message(content=content)).body)["message"]
    parts = (found["data"], found["notification"])
    assert sum(len(json.dumps(one, ensure_ascii=False).encode()) for one in parts) < 4_200
    shown: str = found["notification"]["body"]
    return shown


@pytest.mark.parametrize("adapter", ["apns", "fcm"])
def test_a_text_without_room_is_cut_at_a_word(adapter: str) -> None:
    said = long_text(adapter, "Ваше замовлення їде до вас. " * 400)
    assert said.endswith("…") and len(said) > 800
    assert "Ваше замовлення їде до вас. ".startswith(said[:-1].split(". ")[-1].strip())


@pytest.mark.parametrize("adapter", ["apns", "fcm"])
def test_no_character_is_torn_apart(adapter: str) -> None:
    said = long_text(adapter, "👩\u200d👩\u200d👧" * 400)
    assert not said[:-1].endswith("\u200d")
    assert said[:-1].encode().decode() == said[:-1]


@pytest.mark.parametrize("adapter", ["apns", "fcm"])
def test_a_short_text_is_left_as_it_is(adapter: str) -> None:
    assert long_text(adapter, "Ваше замовлення їде") == "Ваше замовлення їде"


@pytest.mark.parametrize("adapter", ["apns", "fcm"])
def test_data_without_room_is_refused_and_says_so(adapter: str) -> None:
    with pytest.raises(ch.Unsendable, match="at most 4096 fit; shorten the title"):
        long_text(adapter, "x", data={"all": "x" * 5_000})


# ---- the app shows it


def test_an_app_that_shows_notifications_itself_gets_data_alone() -> None:
    call = fcm(display="app").request(google.message())
    found = json.loads(call.body)["message"]
    assert "notification" not in found and "notification" not in found["android"]
    assert found["data"]["title"] == "Кошик чекає" and found["data"]["text"] == "Два товари"
    assert all(isinstance(value, str) for value in found["data"].values())
    assert found["apns"]["payload"]["aps"]["alert"]["title"] == "Кошик чекає"


def test_data_cannot_be_named_like_what_the_app_gets_besides() -> None:
    yaml = {
        "data": {"cart": "12"},
        "url": "https://shop.example/",
        "image": "https://s.example/i.png",
    }
    more = {"badge": 3, "collapse": "cart", "android": {"channel": "carts"}}
    content = {"title": "Кошик чекає", "text": "Два товари", "yaml": {**yaml, **more}}
    call = fcm(display="app").request(google.message(content=content))
    besides = json.loads(call.body)["message"]["data"].keys() - {"cart"}
    assert {"mid", "url", "image", "channel_id", "sound", "tag", "notification_count"} <= besides
    for name in besides:
        assert data_problem({name: "x"}) is not None, name
