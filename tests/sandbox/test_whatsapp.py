"""The stand-in for the WhatsApp Cloud API."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from adapters.whatsapp.template import template_of
from orchestrator.sandbox.meta import sign
from tests.sandbox.sandbox_kit import ACCOUNTS, PHONE, Bench, Hook, benched

PATH = f"/v25.0/{ACCOUNTS.meta_phone_number_id}/messages"
BEARER = {"Authorization": f"Bearer {ACCOUNTS.meta_access_token}"}
TEMPLATE = {
    "name": "cart_abandoned",
    "language": {"policy": "deterministic", "code": "uk"},
    "components": [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "text": "Олена"},
                {"type": "text", "text": "3 601,50 ₴"},
            ],
        },
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": "0",
            "parameters": [{"type": "payload", "payload": "CART"}],
        },
    ],
}


def template(**changes: Any) -> dict[str, Any]:
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": PHONE[1:],
        "type": "template",
    }
    return {**body, "template": TEMPLATE, "biz_opaque_callback_data": "r-5", **changes}


def text(body: Any = "Привіт") -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": body}}


async def send(bench: Bench, body: Any, path: str = PATH) -> tuple[int, Any]:
    status, _, answer = await bench.post(path, json=body, headers=BEARER)
    return status, answer


def value_of(hook: Hook) -> Any:
    body = json.loads(hook.body)
    assert body["object"] == "whatsapp_business_account"
    change = body["entry"][0]["changes"][0]
    assert change["value"]["metadata"]["phone_number_id"] == ACCOUNTS.meta_phone_number_id
    return {**change["value"], "field": change["field"]}


def is_signed(hook: Hook) -> bool:
    made = hmac.new(ACCOUNTS.meta_app_secret.encode(), hook.body, hashlib.sha256).hexdigest()
    return hook.headers["x-hub-signature-256"] == f"sha256={made}"


def test_the_signature_is_over_the_raw_body() -> None:
    made = sign("app_secret_example", b'{"object":"whatsapp_business_account","entry":[]}')
    assert made == "sha256=6eb10e0bc4192e9206e3de93178e66ea9eb262e9ea07bb66abdc83dcf8d3abf3"


async def test_a_template_is_accepted_and_shown_with_its_parameters() -> None:
    async with benched() as bench:
        status, answer = await send(bench, template())
        assert status == 200
        assert answer["contacts"] == [{"input": PHONE[1:], "wa_id": PHONE[1:]}]
        assert answer["messages"][0]["id"].startswith("wamid.")
        assert answer["messages"][0]["message_status"] == "accepted"
        (entry,) = await bench.accepted("meta")
        assert (entry["address"], entry["reference"], entry["channel"]) == (
            PHONE,
            "r-5",
            "whatsapp",
        )
        assert entry["content"]["text"] == "Олена\n3 601,50 ₴"


@pytest.mark.parametrize("said", ["a\nb", "a\tb", "a\r\nb", "a" + " " * 5 + "b", "\n", "a    b"])
@pytest.mark.parametrize("part", ["header", "body", "button"])
async def test_a_parameter_s_white_space_is_refused_as_meta_does_and_our_adapter_folds_it(
    said: str, part: str
) -> None:
    parameters = [{"type": "text", "text": said}]
    components = [{"type": part, "parameters": parameters}]
    async with benched() as bench:
        status, answer = await send(
            bench, template(template={**TEMPLATE, "components": components})
        )
        if said != "a    b":
            assert (status, answer["error"]["code"]) == (400, 132018)
        given = {"template": "t", "header": said, "body": [said, {"text": said}], "buttons": [said]}
        ours = template_of({**given, "language": "uk"}, "uk")
        assert (await send(bench, template(template=ours)))[0] == 200


async def test_a_user_id_instead_of_a_phone_is_answered_with_the_user_id() -> None:
    async with benched() as bench:
        status, answer = await send(bench, template(to=None, recipient="UA.13491208655302741918"))
        assert (status, answer["contacts"][0]["user_id"]) == (200, "UA.13491208655302741918")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 100),
        (template(messaging_product="sms"), 100),
        (template(to=None), 131008),
        (template(to="olena"), 131009),
        (template(to=None, recipient="olena"), 131009),
        (template(type="smoke"), 131051),
        (template(type="image"), 131008),
        (template(biz_opaque_callback_data="x" * 513), 131009),
        (template(template={"language": {"code": "uk"}}), 131008),
        (template(template={"name": "x"}), 131008),
        (
            template(
                template={
                    "name": "x",
                    "language": {"code": "uk"},
                    "components": [{"type": "smoke"}],
                }
            ),
            100,
        ),
        (text(""), 131008),
        (text("x" * 4_097), 100),
    ],
)
async def test_a_bad_message_gets_meta_s_error_object(body: Any, code: int) -> None:
    async with benched() as bench:
        status, answer = await send(bench, body)
        error = answer["error"]
        assert (status, error["code"], error["type"]) == (400, code, "OAuthException")
        assert (
            error["message"].startswith(f"(#{code}) ")
            and error["error_data"]["details"]
            and error["fbtrace_id"]
        )


async def test_a_wrong_token_and_a_wrong_number_are_distinguished() -> None:
    async with benched() as bench:
        status, _, answer = await bench.post(
            PATH, json=template(), headers={"Authorization": "Bearer no"}
        )
        assert (status, answer["error"]["code"]) == (401, 190)
        status, answer = await send(bench, template(), "/v25.0/1/messages")
        assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (400, 100, 33)


async def test_free_text_needs_a_message_of_the_person_first() -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        status, answer = await send(bench, text())
        assert (status, answer["error"]["code"]) == (400, 131047)
        await bench.control(
            "POST", "inbound", {"provider": "meta", "from": PHONE, "text": "Де замовлення?"}
        )
        hook = await bench.receiver.next()
        value = value_of(hook)
        assert is_signed(hook) and b"\\u0414" in hook.body, "Meta escapes what is not ASCII"
        assert value["contacts"][0]["wa_id"] == PHONE[1:]
        assert value["messages"][0]["from"] == PHONE[1:]
        assert value["messages"][0]["text"] == {"body": "Де замовлення?"}
        assert (await send(bench, text()))[0] == 200


async def test_statuses_are_signed_and_carry_the_sender_s_data() -> None:
    receipts = [["sent", 0], ["delivered", 1], ["read", 2], ["failed", 3, 131049]]
    async with benched(script={"default": {"receipts": receipts}}) as bench:
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        wamid = (await send(bench, template()))[1]["messages"][0]["id"]
        hooks = [await bench.receiver.next() for _ in receipts]
        assert all(is_signed(hook) for hook in hooks)
        statuses = [value_of(hook)["statuses"][0] for hook in hooks]
        assert [status["status"] for status in statuses] == ["sent", "delivered", "read", "failed"]
        assert {(status["id"], status["biz_opaque_callback_data"]) for status in statuses} == {
            (wamid, "r-5")
        }
        assert {status["recipient_id"] for status in statuses} == {PHONE[1:]}
        assert statuses[3]["errors"][0]["code"] == 131049 and statuses[0]["timestamp"].isdigit()


async def test_a_click_presses_the_template_s_button_and_names_the_message() -> None:
    async with benched(script={"default": {"receipts": [["clicked", 0]]}}) as bench:
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        wamid = (await send(bench, template()))[1]["messages"][0]["id"]
        pressed = value_of(await bench.receiver.next())["messages"][0]
        assert (pressed["type"], pressed["button"]["payload"], pressed["context"]["id"]) == (
            "button",
            "CART",
            wamid,
        )


@pytest.mark.parametrize("word", ["stop", "resume"])
async def test_the_person_s_marketing_setting_is_reported_in_a_field_of_its_own(word: str) -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        await bench.control(
            "POST", "inbound", {"provider": "meta", "from": PHONE, "text": f"/{word}"}
        )
        value = value_of(await bench.receiver.next())
        assert value["field"] == "user_preferences"
        preference = value["user_preferences"][0]
        assert (preference["wa_id"], preference["category"], preference["value"]) == (
            PHONE[1:],
            "marketing_messages",
            word,
        )


async def test_a_webhook_is_verified_by_the_echo_of_its_challenge() -> None:
    async with benched() as bench:
        await bench.control("POST", "verify", {"provider": "meta"}, 409)
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        assert (await bench.control("POST", "verify", {"provider": "meta"}))["verified"] is False
        bench.receiver.answer = lambda hook: hook.query["hub.challenge"]
        assert (await bench.control("POST", "verify", {"provider": "meta"}))["verified"] is True
        hook = await bench.receiver.next()
        assert hook.method == "GET" and hook.query["hub.verify_token"] == ACCOUNTS.meta_verify_token


async def test_a_scripted_refusal_has_the_status_that_meta_gives_it() -> None:
    async with benched(
        script={"addresses": {PHONE: [{"answer": {"refuse": 131056}}, {"answer": {"throttle": 4}}]}}
    ) as bench:
        status, answer = await send(bench, template())
        assert (status, answer["error"]["code"]) == (400, 131056)
        status, answer = await send(bench, template())
        assert (status, answer["error"]["code"]) == (429, 130429)
