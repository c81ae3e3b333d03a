"""Links by which a recipient connects a messenger, from the call to the bound chat."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.telegram.telegram_bot import TelegramBot, TelegramBotSettings
from adapters.viber.viber_bot import ViberBot, ViberBotSettings
from orchestrator.channels import TELEGRAM_ID, builtin
from orchestrator.channels.registry import refresh
from tests.api.site import Site, is_problem
from tests.engine.world import World

SECRET, VIBER_TOKEN = "secret-token", "viber-token"
CHAT = 712345678
DAY = 24 * 3_600_000


@pytest.fixture(autouse=True)
def store(store_url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these tests on both stores."""
    monkeypatch.setattr(World, "default_url", store_url)


@pytest.fixture
async def linked(site: Site) -> Site:
    """A site whose messengers can be linked, and Olena, who is known there."""
    telegram = TelegramBotSettings.model_validate(
        {"token": "1:t", "secret_token": SECRET, "username": "shop_bot"}
    )
    viber = ViberBotSettings.model_validate(
        {"auth_token": VIBER_TOKEN, "sender": "Shop", "chat_uri": "shopbot"}
    )
    site.also("telegram", TelegramBot(telegram, "telegram"), "telegram")
    site.also("viber_bot", ViberBot(viber, "viber_bot"), "viber")
    for id in ("olena", "petro"):
        await site.client.put(f"/v1/recipients/{id}", json={"first_name": id})
    return site


async def links_of(site: Site, id: str = "olena") -> dict[str, str]:
    answer = await site.client.post(f"/v1/recipients/{id}/links")
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.json()
    return found


def token_of(url: str) -> str:
    query = parse_qs(urlsplit(url).query)
    return (query.get("start") or query["context"])[0]


async def start(site: Site, token: str, chat: int = CHAT) -> None:
    """Telegram says that the person has pressed Start."""
    said = {
        "message_id": 5,
        "date": site.world.now // 1000,
        "chat": {"id": chat, "type": "private"},
        "text": f"/start {token}",
    }
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    body = {"update_id": 1, "message": said}
    answer = await site.client.post("/v1/receipts/telegram", json=body, headers=headers)
    assert answer.status_code == 200


async def open_conversation(site: Site, context: str) -> None:
    """Viber says that the person has opened the conversation by a link."""
    event: dict[str, Any] = {
        "event": "conversation_started",
        "timestamp": site.world.now,
        "message_token": 7,
        "context": context,
        "subscribed": False,
        "user": {"id": "viber-olena"},
    }
    body = json.dumps(event).encode()
    digest = hmac.new(VIBER_TOKEN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Viber-Content-Signature": digest, "Content-Type": "application/json"}
    answer = await site.client.post("/v1/receipts/viber_bot", content=body, headers=headers)
    assert answer.status_code == 200


async def profile(site: Site, id: str = "olena") -> dict[str, Any]:
    found: dict[str, Any] = (await site.client.get(f"/v1/recipients/{id}")).json()
    return found


async def test_a_followed_link_binds_the_chat_with_a_consent(linked: Site) -> None:
    links = await links_of(linked)
    assert links["telegram"].startswith("https://t.me/shop_bot?start=")
    assert links["viber"].startswith("viber://pa?chatURI=shopbot&context=")
    await start(linked, token_of(links["telegram"]))
    await open_conversation(linked, token_of(links["viber"]))
    olena = await profile(linked)
    assert (olena["telegram_id"], olena["viber_bot_id"]) == (str(CHAT), "viber-olena")
    said = [(one["channel"], one["state"], one["source"]) for one in olena["consents"]]
    assert said == [("telegram", "in", "link"), ("viber", "in", "link")]
    assert "links" not in olena


@pytest.fixture
def renamed_field(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The ids of Telegram's chats in a field that is not named as their kind."""
    kind = replace(TELEGRAM_ID, field="chat")
    monkeypatch.setattr(builtin, "TELEGRAM", replace(builtin.TELEGRAM, addresses=(kind,)))
    refresh()
    yield
    monkeypatch.undo()
    refresh()


async def test_a_followed_link_fills_the_field_of_the_kind(
    renamed_field: None, linked: Site
) -> None:
    await start(linked, token_of((await links_of(linked))["telegram"]))
    olena = await profile(linked)
    assert olena["chat"] == str(CHAT) and "telegram_id" not in olena["attributes"]


async def test_a_token_has_room_in_telegram_s_start_parameter(linked: Site) -> None:
    for _ in range(50):
        token = token_of((await links_of(linked))["telegram"])
        assert len(token) <= 64 and token.replace("-", "").replace("_", "").isalnum()


async def test_a_link_works_once(linked: Site) -> None:
    token = token_of((await links_of(linked))["telegram"])
    await start(linked, token)
    await start(linked, token, chat=999)
    assert (await profile(linked))["telegram_id"] == str(CHAT)


async def test_a_link_works_for_a_day(linked: Site) -> None:
    links = await links_of(linked)
    linked.world.now += DAY - 1
    await start(linked, token_of(links["telegram"]))
    linked.world.now += 1
    await open_conversation(linked, token_of(links["viber"]))
    olena = await profile(linked)
    assert olena["telegram_id"] == str(CHAT) and "viber_bot_id" not in olena


async def test_a_link_of_one_messenger_opens_no_other(linked: Site) -> None:
    await start(linked, token_of((await links_of(linked))["viber"]))
    assert "telegram_id" not in await profile(linked)


async def test_a_forged_token_binds_nothing(linked: Site) -> None:
    token = token_of((await links_of(linked))["telegram"])
    for forged in (token[:-2], token[::-1], "A" * 39, "x"):
        await start(linked, forged)
    assert "telegram_id" not in await profile(linked)


async def test_a_link_of_somebody_erased_binds_nobody(linked: Site) -> None:
    token = token_of((await links_of(linked))["telegram"])
    assert (await linked.client.delete("/v1/recipients/olena")).status_code == 204
    await linked.client.put("/v1/recipients/olena", json={"first_name": "another"})
    await start(linked, token)
    assert "telegram_id" not in await profile(linked)


async def test_a_chat_may_belong_to_two_profiles(linked: Site) -> None:
    for id in ("olena", "petro"):
        await start(linked, token_of((await links_of(linked, id))["telegram"]))
    assert [(await profile(linked, id))["telegram_id"] for id in ("olena", "petro")] == [
        str(CHAT),
        str(CHAT),
    ]


async def test_following_a_link_takes_back_a_stop(linked: Site) -> None:
    await start(linked, token_of((await links_of(linked))["telegram"]))
    out = {"opt_outs": [{"recipient": "olena", "channel": "telegram"}]}
    await linked.client.post("/v1/opt-outs", json=out)
    linked.world.now += 1_000
    await start(linked, token_of((await links_of(linked))["telegram"]))
    assert [one["state"] for one in (await profile(linked))["consents"]] == ["in", "out", "in"]


async def test_links_are_for_those_who_are_known_and_can_be_linked(site: Site) -> None:
    is_problem(await site.client.post("/v1/recipients/olena/links"), 409, "not_linkable")


async def test_an_unknown_recipient_has_no_links(linked: Site) -> None:
    is_problem(await linked.client.post("/v1/recipients/nobody/links"), 404)


async def test_a_message_s_own_link_opens_the_messenger_until_it_was_followed(
    linked: Site,
) -> None:
    message = await linked.publish(type="text")
    path = f"/l/{linked.keys.link_to(message, 'telegram')}"
    answer = await linked.client.get(path)
    assert answer.status_code == 302
    recipient = (await linked.message(message))["recipient"]
    await start(linked, token_of(answer.headers["Location"]))
    assert (await profile(linked, recipient))["telegram_id"] == str(CHAT)
    assert (await linked.client.get(path)).status_code == 404


async def test_a_message_s_own_link_is_over_after_a_day_and_not_for_programs(
    linked: Site,
) -> None:
    message = await linked.publish(type="text")
    path = f"/l/{linked.keys.link_to(message, 'telegram')}"
    assert (await linked.client.get(path, headers={"Sec-Purpose": "prefetch"})).status_code == 404
    linked.world.now += DAY + 1
    assert (await linked.client.get(path)).status_code == 404
    assert (await linked.client.get("/l/forged")).status_code == 404
