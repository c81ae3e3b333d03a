"""The stand-in for a push service and the browser behind it."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from orchestrator.sandbox import push_crypto as crypto
from tests.sandbox.sandbox_kit import Bench, benched

SENDER = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
SENDER_KEY = crypto.b64(crypto.point_of(SENDER.public_key()))
STRANGER = ec.derive_private_key(0xFEDCBA, ec.SECP256R1())

# RFC 8291, section 5 and appendix A
RFC_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQ"
    "pu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
RFC_SCALAR = int.from_bytes(crypto.unb64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
RFC_KEYS = crypto.BrowserKeys.of(RFC_SCALAR, crypto.unb64("BTBZMqHH6r4Tts7J_aSIgg"))


def vapid(
    origin: str, *, key: ec.EllipticCurvePrivateKey = SENDER, claim_key: str = "", **claims: Any
) -> str:
    """An Authorization header, as RFC 8292 section 3 has it."""
    given = {
        "aud": origin,
        "exp": int(time.time()) + 3_600,
        "sub": "mailto:ops@example.com",
        **claims,
    }
    parts = [
        crypto.b64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, given)
    ]
    r, s = utils.decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    token = ".".join([*parts, crypto.b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])
    return f"vapid t={token}, k={claim_key or crypto.b64(crypto.point_of(key.public_key()))}"


def encrypted(subscription: dict[str, Any], payload: Any) -> bytes:
    """The body, by an implementation that shares nothing with the stand-in."""
    plain = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    keys = {
        name: base64.urlsafe_b64decode(value + "==") for name, value in subscription["keys"].items()
    }
    private = ec.generate_private_key(ec.SECP256R1())
    body: bytes = http_ece.encrypt(
        plain, private_key=private, dh=keys["p256dh"], auth_secret=keys["auth"], version="aes128gcm"
    )
    return body


async def subscribed(bench: Bench, **body: Any) -> dict[str, Any]:
    subscription = await bench.control(
        "POST", "push/subscribe", {"application_server_key": SENDER_KEY, **body}, 201
    )
    return dict(subscription)


async def push(
    bench: Bench, subscription: dict[str, Any], payload: Any = b"{}", **headers: str
) -> tuple[int, Any, Any]:
    sent = {"TTL": "60", "Content-Encoding": "aes128gcm", "Authorization": vapid(bench.sandbox.url)}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = (
        payload
        if isinstance(payload, bytes) and payload != b"{}"
        else encrypted(subscription, payload)
    )
    kept = {name: value for name, value in sent.items() if value}
    return await bench.post(subscription["endpoint"], data=body, headers=kept)


# ---- the browser's side


def test_the_rfc_s_own_message_is_decrypted() -> None:
    assert (
        crypto.decrypt(RFC_KEYS, crypto.unb64(RFC_BODY))
        == b"When I grow up, I want to be a watermelon"
    )
    assert RFC_KEYS.public() == {
        "p256dh": (
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    }


@pytest.mark.parametrize("position", [0, 15, 16, 20, 21, 60, 90, 143])
def test_a_message_with_one_changed_byte_is_not_decrypted(position: int) -> None:
    body = bytearray(crypto.unb64(RFC_BODY))
    body[position] ^= 0x80
    if position == 16:  # the record size only has an upper end
        body[16:20] = (57).to_bytes(4, "big")
    with pytest.raises(crypto.Undecryptable):
        crypto.decrypt(RFC_KEYS, bytes(body))


@pytest.mark.parametrize("length", [0, 1, 85, 86, 102, 143])
def test_a_message_cut_short_is_not_decrypted(length: int) -> None:
    with pytest.raises(crypto.Undecryptable):
        crypto.decrypt(RFC_KEYS, crypto.unb64(RFC_BODY)[:length])


async def test_a_message_is_decrypted_and_kept_as_it_is_shown() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        payload = {
            "mid": "m-1",
            "title": "Кошик чекає",
            "text": "Ще 3 товари",
            "url": "https://shop.example/c/1",
        }
        status, headers, _ = await push(
            bench, subscription, payload, Topic="cart-1", Urgency="high"
        )
        (entry,) = await bench.accepted("push")
        assert status == 201
        assert headers["location"] == entry["provider_id"] and headers["ttl"] == "60"
        assert (entry["address"], entry["reference"], entry["channel"]) == (
            subscription["endpoint"],
            "m-1",
            "web_push",
        )
        assert entry["content"]["payload"] == payload
        assert (entry["content"]["topic"], entry["content"]["urgency"]) == ("cart-1", "high")


async def test_a_message_that_cannot_be_decrypted_is_accepted_as_by_a_push_service() -> None:
    async with benched(script={"default": {"receipts": [["delivered", 0]]}}) as bench:
        first, second = await subscribed(bench), await subscribed(bench)
        status, _, _ = await push(
            bench, first, encrypted(second, {"mid": "m-1", "report": bench.receiver.url})
        )
        (entry,) = await bench.accepted()
        assert status == 201 and "undecryptable" in entry["content"]
        await bench.control("POST", "act", {"seq": entry["seq"], "state": "delivered"})
        assert {receipt["result"] for receipt in await bench.control("GET", "receipts")} == {
            "not reported"
        }


async def test_the_service_worker_reports_as_text_from_the_page_s_origin() -> None:
    async with benched(
        script={"default": {"receipts": [["delivered", 0], ["clicked", 1], ["dismissed", 2]]}}
    ) as bench:
        payload = {"mid": "m-1", "rt": "token", "report": bench.receiver.url, "title": "x"}
        await push(bench, await subscribed(bench), payload)
        hooks = [await bench.receiver.next() for _ in range(3)]
        assert [json.loads(hook.body)["ev"] for hook in hooks] == [
            "delivered",
            "clicked",
            "dismissed",
        ]
        assert {(json.loads(hook.body)["mid"], json.loads(hook.body)["rt"]) for hook in hooks} == {
            ("m-1", "token")
        }
        assert all(hook.headers["content-type"].startswith("text/plain") for hook in hooks)
        assert all(hook.headers["origin"] == bench.sandbox.url for hook in hooks)


# ---- the push service's side


@pytest.mark.parametrize(
    ("headers", "status", "errno"),
    [
        ({"TTL": ""}, 400, 112),
        ({"TTL": "soon"}, 400, 112),
        ({"TTL": "-1"}, 400, 112),
        ({"Topic": "not a topic"}, 400, 113),
        ({"Topic": "x" * 33}, 400, 113),
        ({"Urgency": "now"}, 400, 999),
        ({"Content_Encoding": "aesgcm"}, 400, 110),
        ({"Authorization": ""}, 401, 109),
        ({"Authorization": "Bearer x"}, 401, 109),
    ],
)
async def test_a_bad_request_gets_mozilla_s_error_body(
    headers: dict[str, str], status: int, errno: int
) -> None:
    async with benched() as bench:
        got, _, body = await push(bench, await subscribed(bench), **headers)
        assert (got, body["code"], body["errno"]) == (status, status, errno)
        assert body["error"] and body["message"] and await bench.accepted() == []


async def test_a_body_of_4096_bytes_passes_and_one_more_is_too_large() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        body = encrypted(subscription, b"x" * 3_993)
        assert len(body) == 4_096
        assert (await push(bench, subscription, body))[0] == 201
        assert (await push(bench, subscription, body + b"x"))[0] == 413


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "https://elsewhere.example"}, "aud"),
        ({"exp": 1}, "exp"),
        ({"exp": int(time.time()) + 2 * 86_400}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"sub": "ops"}, "sub"),
    ],
)
async def test_a_wrong_claim_is_401(claims: dict[str, Any], said: str) -> None:
    async with benched() as bench:
        header = vapid(bench.sandbox.url, **claims)
        status, _, body = await push(bench, await subscribed(bench), Authorization=header)
        assert status == 401 and said in body["message"]


async def test_aud_is_the_origin_alone() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        header = vapid(subscription["endpoint"])
        assert (await push(bench, subscription, Authorization=header))[0] == 401


async def test_a_token_that_somebody_else_signed_is_401_and_another_sender_is_403() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        forged = vapid(bench.sandbox.url, key=STRANGER, claim_key=SENDER_KEY)
        assert (await push(bench, subscription, Authorization=forged))[0] == 401
        other = vapid(bench.sandbox.url, key=STRANGER)
        assert (await push(bench, subscription, Authorization=other))[0] == 403
        anyone = await subscribed(bench, application_server_key=None)
        assert (await push(bench, anyone, Authorization=other))[0] == 201


async def test_the_key_may_stand_first_and_without_a_space() -> None:
    async with benched() as bench:
        token, key = vapid(bench.sandbox.url).removeprefix("vapid ").split(", ")
        subscription = await subscribed(bench)
        for header in (f"vapid {token},{key}", f"vapid {key}, {token}"):
            assert (await push(bench, subscription, Authorization=header))[0] == 201


async def test_an_unknown_endpoint_is_404_and_an_expired_one_410() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        status, _, body = await push(
            bench, {**subscription, "endpoint": f"{bench.sandbox.url}/push/none"}
        )
        assert (status, body["errno"]) == (404, 102)
        await bench.control("POST", "push/expire", {"endpoint": subscription["endpoint"]})
        status, _, body = await push(bench, subscription)
        assert (status, body["errno"]) == (410, 106)
        await bench.control(
            "POST", "push/expire", {"endpoint": "http://elsewhere.example/push/x"}, 404
        )


async def test_throttling_and_refusals_have_the_same_body() -> None:
    async with benched() as bench:
        subscription = await subscribed(bench)
        turns = [{"answer": {"throttle": 120}}, {"answer": {"refuse": 403}}, {"answer": "refuse"}]
        await bench.script(addresses={subscription["endpoint"]: turns})
        status, headers, body = await push(bench, subscription)
        assert (status, headers["retry-after"], body["errno"]) == (429, "120", 201)
        assert (await push(bench, subscription))[2]["code"] == 403
        assert (await push(bench, subscription))[2]["code"] == 410


async def test_a_long_ttl_is_shortened_and_the_answer_says_so() -> None:
    async with benched() as bench:
        assert (await push(bench, await subscribed(bench), TTL="2592001"))[1]["ttl"] == "2592000"


async def test_a_seed_gives_the_same_endpoints_in_every_run() -> None:
    paths = []
    for _ in range(2):
        async with benched(seed=11) as bench:
            first, second = await subscribed(bench), await subscribed(bench)
            assert first["endpoint"] != second["endpoint"]
            paths.append(
                [each["endpoint"].removeprefix(bench.sandbox.url) for each in (first, second)]
            )
    assert paths[0] == paths[1]


async def test_a_key_that_is_no_key_is_refused_with_what_is_needed() -> None:
    async with benched() as bench:
        for key in ("???", "AAAA"):
            answer = await bench.control(
                "POST", "push/subscribe", {"application_server_key": key}, 400
            )
            assert "65 bytes of a P-256 public key" in answer["error"]
