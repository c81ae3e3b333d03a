"""The stand-ins for Viber: Infobip's business messages, and the bot API."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.sandbox.sandbox_kit import ACCOUNTS, PHONE, Bench, Hook, basic, benched

KEY = {"Authorization": f"App {ACCOUNTS.infobip_api_key}"}
TOKEN = {"X-Viber-Auth-Token": ACCOUNTS.viber_bot_token}
USER = "01234567890A="


def message(bench: Bench, message_id: str = "m-1", **changes: Any) -> dict[str, Any]:
    return {
        "sender": "Shop",
        "destinations": [{"to": PHONE[1:], "messageId": message_id}],
        "content": {
            "type": "TEXT",
            "text": "Кошик чекає",
            "button": {"title": "До кошика", "action": "https://x.example"},
        },
        "options": {"label": "TRANSACTIONAL", "trackingData": message_id},
        "webhooks": {
            "delivery": {"url": bench.receiver.url, "intermediateReport": True},
            "seen": {"url": f"{bench.receiver.url}/seen"},
            "contentType": "application/json",
            "callbackData": f"data-{message_id}",
        },
        **changes,
    }


async def send(bench: Bench, *messages: dict[str, Any], **more: Any) -> tuple[int, Any]:
    body = {"messages": list(messages) or [message(bench)], **more}
    status, _, answer = await bench.post("/viber/2/messages", json=body, headers=KEY)
    return status, answer


def body_of(hook: Hook) -> Any:
    return json.loads(hook.body)


# ---- Infobip


async def test_infobip_accepts_each_message_of_a_request_by_itself() -> None:
    async with benched(
        script={"addresses": {"+380670000001": {"answer": {"refuse": "EC_UNKNOWN_USER"}}}}
    ) as bench:
        second = message(bench, "m-2", destinations=[{"to": "380670000001", "messageId": "m-2"}])
        status, answer = await send(bench, message(bench), second)
        taken, refused = answer["messages"]
        assert status == 200
        assert taken["messageId"] == "m-1" and taken["destination"] == PHONE[1:]
        assert (taken["status"]["groupId"], taken["status"]["name"]) == (1, "PENDING_ACCEPTED")
        assert (refused["status"]["groupName"], refused["error"]["id"]) == ("UNDELIVERABLE", 7002)
        assert [entry["reference"] for entry in await bench.accepted("infobip")] == ["m-1"]


async def test_infobip_rejects_a_message_id_it_has_seen() -> None:
    async with benched() as bench:
        await send(bench)
        status, answer = await send(bench)
        said = answer["messages"][0]["status"]
        assert (status, said["groupId"], said["id"], said["name"]) == (
            200,
            5,
            23,
            "REJECTED_DUPLICATE_MESSAGE_ID",
        )
        assert len(await bench.accepted()) == 1


async def test_infobip_remembers_an_id_even_where_its_answer_was_lost() -> None:
    async with benched(
        script={"addresses": {PHONE: [{"answer": {"status": 500, "accepted": True}}, {}]}}
    ) as bench:
        assert (await send(bench))[0] == 500
        assert (await send(bench))[1]["messages"][0]["status"]["id"] == 23


async def test_infobip_does_not_remember_an_id_that_it_did_not_take() -> None:
    async with benched(script={"addresses": {PHONE: [{"answer": {"throttle": 1}}, {}]}}) as bench:
        status, answer = await send(bench)
        assert (status, answer["errorCode"]) == (429, "E429")
        assert (await send(bench))[1]["messages"][0]["status"]["groupId"] == 1


@pytest.mark.parametrize("code", ["REJECTED_NOT_ENOUGH_CREDITS", 12])
async def test_infobip_rejects_with_a_status_named_or_numbered(code: str | int) -> None:
    async with benched(script={"default": {"answer": {"refuse": code}}}) as bench:
        _, answer = await send(bench)
        said = answer["messages"][0]
        assert (said["status"]["groupId"], said["status"]["id"]) == (5, 12) and "error" not in said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sender": ""}, "messages[0].sender"),
        ({"destinations": []}, "messages[0].destinations"),
        ({"destinations": [{"to": "olena"}]}, "messages[0].destinations[0].to"),
        (
            {"destinations": [{"to": "380501234567", "messageId": "x" * 201}]},
            "messages[0].destinations[0].messageId",
        ),
        ({"content": {"type": "SMOKE"}}, "messages[0].content.type"),
        ({"content": {"type": "TEXT", "text": "x" * 1_001}}, "messages[0].content.text"),
        ({"content": {"type": "IMAGE", "mediaUrl": "x"}}, "messages[0].content.mediaUrl"),
        (
            {"content": {"type": "TEXT", "text": "x", "button": {"title": "x" * 31}}},
            "messages[0].content.button.title",
        ),
        ({"options": {"label": "LOUD"}}, "messages[0].options.label"),
        ({"webhooks": {"delivery": {"url": "x"}}}, "messages[0].webhooks.delivery.url"),
        ({"webhooks": {"callbackData": "x" * 4_001}}, "messages[0].webhooks.callbackData"),
    ],
)
async def test_infobip_names_the_property_that_is_wrong(
    changes: dict[str, Any], named: str
) -> None:
    async with benched() as bench:
        status, answer = await send(bench, message(bench, **changes))
        assert (status, answer["errorCode"]) == (400, "E400")
        assert [violation["property"] for violation in answer["violations"]] == [named]


async def test_infobip_refuses_a_wrong_key_and_what_is_not_json() -> None:
    async with benched() as bench:
        status, _, answer = await bench.post(
            "/viber/2/messages", json={}, headers={"Authorization": "App wrong"}
        )
        assert (status, answer["errorCode"]) == (401, "E401")
        assert (await bench.post("/viber/2/messages", data=b"{", headers=KEY))[0] == 400


async def test_infobip_reports_carry_the_login_of_the_subscription_and_the_sender_s_data() -> None:
    receipts = [["sent", 0], ["delivered", 1], ["read", 2], ["failed", 3, 7003], ["expired", 4]]
    async with benched(script={"default": {"receipts": receipts}}) as bench:
        await send(bench)
        hooks = [await bench.receiver.next() for _ in receipts]
        login = basic(
            ACCOUNTS.infobip_webhook_username or "", ACCOUNTS.infobip_webhook_password or ""
        )
        assert {hook.headers["authorization"] for hook in hooks} == {login}
        sent, delivered, seen, failed, expired = (body_of(hook)["results"][0] for hook in hooks)
        assert (sent["status"]["name"], sent["callbackData"], sent["messageId"]) == (
            "PENDING_ENROUTE",
            "data-m-1",
            "m-1",
        )
        assert (
            delivered["status"]["groupId"],
            delivered["status"]["id"],
            delivered["error"]["id"],
        ) == (3, 5, 0)
        assert hooks[2].url.endswith("/seen") and seen["from"] == PHONE[1:] and "seenAt" in seen
        assert (failed["status"]["groupName"], failed["error"]["id"]) == ("UNDELIVERABLE", 7003)
        assert (expired["status"]["groupId"], expired["status"]["id"]) == (4, 15)


async def test_infobip_reports_a_click_where_tracking_was_asked_for() -> None:
    async with benched(script={"default": {"receipts": [["clicked", 0]]}}) as bench:
        tracking = {
            "shortenUrl": True,
            "trackClicks": True,
            "trackingUrl": f"{bench.receiver.url}/clicks",
        }
        await send(bench, message(bench), options={"tracking": tracking})
        hook = await bench.receiver.next()
        assert hook.url.endswith("/clicks")
        posted = body_of(hook)
        assert (posted["notificationType"], posted["messageId"], posted["recipient"]) == (
            "CLICKED",
            "m-1",
            PHONE[1:],
        )


async def test_infobip_replies_carry_the_tracking_data_of_the_message_they_answer() -> None:
    async with benched() as bench:
        await send(bench)
        await bench.control(
            "POST", "inbound", {"provider": "infobip", "from": PHONE, "text": "СТОП"}
        )
        (reply,) = body_of(await bench.receiver.next())["results"]
        assert (reply["sender"], reply["to"], reply["integrationType"]) == (
            PHONE[1:],
            "Shop",
            "VIBER",
        )
        assert reply["message"] == {"type": "TEXT", "text": "СТОП", "trackingData": "m-1"}


# ---- the bot


def bot_message(**changes: Any) -> dict[str, Any]:
    body = {
        "receiver": USER,
        "type": "text",
        "text": "Привіт",
        "tracking_data": "r-9",
        "sender": {"name": "Shop"},
    }
    return {**body, **changes}


async def bot_send(bench: Bench, body: dict[str, Any] | None = None) -> dict[str, Any]:
    status, _, answer = await bench.post(
        "/pa/send_message", json=body or bot_message(), headers=TOKEN
    )
    assert status == 200, "Viber answers everything with 200"
    return dict(answer)


def is_signed(hook: Hook) -> bool:
    made = hmac.new(ACCOUNTS.viber_bot_token.encode(), hook.body, hashlib.sha256).hexdigest()
    return hook.headers["x-viber-content-signature"] == made


async def test_the_bot_says_who_it_is() -> None:
    async with benched() as bench:
        assert (await bench.post("/pa/get_account_info", json={}, headers=TOKEN))[2]["status"] == 0
        assert (await bench.post("/pa/get_account_info", json={}))[2]["status"] == 2


async def test_the_bot_cannot_send_before_it_has_a_webhook_that_answers() -> None:
    async with benched() as bench:
        assert (await bot_send(bench))["status"] == 10
        bench.receiver.statuses = [500]
        hook = {"url": bench.receiver.url, "event_types": ["delivered"]}
        assert (await bench.post("/pa/set_webhook", json=hook, headers=TOKEN))[2]["status"] == 1
        assert (await bot_send(bench))["status"] == 10
        assert (await bench.post("/pa/set_webhook", json=hook, headers=TOKEN))[2]["status"] == 0
        probe = [await bench.receiver.next() for _ in range(2)][1]
        assert body_of(probe)["event"] == "webhook" and is_signed(probe)
        answer = await bot_send(bench)
        assert (answer["status"], answer["status_message"]) == (0, "ok")
        assert answer["message_token"] > 2**53, "tokens are beyond what a float keeps"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (bot_message(receiver=""), 4),
        (bot_message(sender={}), 4),
        (bot_message(text=""), 4),
        (bot_message(type="picture"), 4),
        (bot_message(type="smoke"), 3),
        (bot_message(sender={"name": "x" * 29}), 3),
        (bot_message(text="x" * 7_001), 3),
        (bot_message(type="picture", media="x"), 3),
        (bot_message(text="x", extra="x" * 31_000), 3),
    ],
)
async def test_a_bad_bot_message_gets_viber_s_status(body: dict[str, Any], status: int) -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"viber_bot": bench.receiver.url})
        assert (await bot_send(bench, body))["status"] == status
        assert await bench.accepted() == []


async def test_a_wrong_token_is_status_2() -> None:
    async with benched() as bench:
        status, _, answer = await bench.post(
            "/pa/send_message", json=bot_message(), headers={"X-Viber-Auth-Token": "no"}
        )
        assert (status, answer["status"], answer["status_message"]) == (200, 2, "invalidAuthToken")
        inside = bot_message(auth_token=ACCOUNTS.viber_bot_token)
        assert (await bench.post("/pa/send_message", json=inside))[2]["status"] == 10, (
            "the token may stand in the body"
        )


async def test_bot_events_are_signed_over_the_raw_body_and_name_the_token() -> None:
    behaviour = {"receipts": [["delivered", 0], ["read", 1], ["failed", 2, "no device"]]}
    async with benched(script={"default": behaviour}) as bench:
        await bench.control("PUT", "callbacks", {"viber_bot": bench.receiver.url})
        token = (await bot_send(bench))["message_token"]
        hooks = [await bench.receiver.next() for _ in range(3)]
        assert all(is_signed(hook) for hook in hooks)
        events = [body_of(hook) for hook in hooks]
        assert [event["event"] for event in events] == ["delivered", "seen", "failed"]
        assert {(event["message_token"], event["user_id"]) for event in events} == {(token, USER)}
        assert events[2]["desc"] == "no device"
        (entry,) = await bench.accepted()
        assert (entry["provider_id"], entry["reference"], entry["channel"]) == (
            str(token),
            "r-9",
            "viber",
        )


async def test_a_reply_to_the_bot_brings_the_tracking_data_back() -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"viber_bot": bench.receiver.url})
        await bot_send(bench)
        await bench.control(
            "POST", "inbound", {"provider": "viber_bot", "from": USER, "text": "Дякую"}
        )
        hook = await bench.receiver.next()
        event = body_of(hook)
        assert is_signed(hook) and (event["event"], event["sender"]["id"]) == ("message", USER)
        assert event["message"] == {"type": "text", "text": "Дякую", "tracking_data": "r-9"}


async def test_somebody_who_unsubscribed_is_refused_until_they_subscribe_again() -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"viber_bot": bench.receiver.url})
        await bench.control(
            "POST", "inbound", {"provider": "viber_bot", "from": USER, "text": "/unsubscribe"}
        )
        assert body_of(await bench.receiver.next())["event"] == "unsubscribed"
        assert (await bot_send(bench))["status"] == 6
        await bench.control(
            "POST", "inbound", {"provider": "viber_bot", "from": USER, "text": "/subscribe"}
        )
        assert body_of(await bench.receiver.next())["user"]["id"] == USER
        assert (await bot_send(bench))["status"] == 0


async def test_the_bot_s_slow_down_is_a_status_too() -> None:
    async with benched(script={"default": {"answer": {"throttle": 5}}}) as bench:
        await bench.control("PUT", "callbacks", {"viber_bot": bench.receiver.url})
        assert (await bot_send(bench))["status"] == 12
