"""The stand-in for the Telegram Bot API."""

from __future__ import annotations

import json
from typing import Any

from tests.sandbox.sandbox_kit import ACCOUNTS, Bench, benched

API = f"/bot{ACCOUNTS.telegram_token}"
CHAT = 712345678
SECRET = {"x-telegram-bot-api-secret-token": "what-setWebhook-got"}


async def with_webhook(bench: Bench) -> None:
    secret = SECRET["x-telegram-bot-api-secret-token"]
    body = {"url": bench.receiver.url, "secret_token": secret}
    assert (await bench.post(f"{API}/setWebhook", json=body))[2]["ok"] is True


async def send(bench: Bench, **fields: Any) -> tuple[int, Any]:
    body = {"chat_id": CHAT, "text": "Вітаємо", **fields}
    status, _, answer = await bench.post(f"{API}/sendMessage", json=body)
    return status, answer


async def update_of(bench: Bench) -> Any:
    hook = await bench.receiver.next()
    assert hook.headers.items() >= SECRET.items()
    return json.loads(hook.body)


async def test_a_message_is_taken_and_shown_under_its_chat() -> None:
    async with benched() as bench:
        status, answer = await send(bench)
        assert status == 200 and answer["result"]["chat"]["id"] == CHAT
        (taken,) = await bench.control("GET", f"accepted?address={CHAT}")
        assert taken["provider_id"] == f"{CHAT}/{answer['result']['message_id']}"


async def test_a_wrong_token_and_a_long_text_are_refused_in_telegram_s_words() -> None:
    async with benched() as bench:
        status, _, answer = await bench.post("/bot1:wrong/sendMessage", json={})
        assert (status, answer["description"]) == (401, "Unauthorized")
        status, answer = await send(bench, text="я" * 4_097)
        assert (status, answer["description"]) == (400, "Bad Request: message is too long")


async def test_a_pressed_button_comes_back_with_its_message() -> None:
    async with benched(script={"default": {"receipts": [["clicked", 0]]}}) as bench:
        await with_webhook(bench)
        keyboard = {"inline_keyboard": [[{"text": "Ні", "callback_data": "no"}]]}
        _, answer = await send(bench, reply_markup=keyboard)
        pressed = (await update_of(bench))["callback_query"]
        assert pressed["data"] == "no"
        assert pressed["message"]["message_id"] == answer["result"]["message_id"]


async def test_who_blocks_the_bot_gets_nothing_more() -> None:
    async with benched() as bench:
        await with_webhook(bench)
        said = {"provider": "telegram", "from": str(CHAT), "text": "/block"}
        await bench.control("POST", "inbound", said)
        assert (await update_of(bench))["my_chat_member"]["new_chat_member"] == {"status": "kicked"}
        assert (await send(bench))[0] == 403


async def test_a_pause_is_asked_for_in_the_body() -> None:
    async with benched(script={"default": {"answer": {"throttle": 7}}}) as bench:
        status, answer = await send(bench)
        assert (status, answer["parameters"]) == (429, {"retry_after": 7})
