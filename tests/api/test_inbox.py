"""The inbox as a page or an app sees it: real sockets, on both stores."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog

from orchestrator.channels import Engagement, Receipt, registry
from orchestrator.core.outcomes import InboxItem
from orchestrator.core.policy import Policy, Step
from orchestrator.core.status import Delivery
from orchestrator.engine.commands import Cancel, Erase, RecordReceipt
from orchestrator.primitives.tokens import SigningKeys
from orchestrator.stores.port import StoreBusy
from tests.api.site import MAIL, OLENA, PUSH, TEXT, Site, is_problem, open_site
from tests.api.test_access import bearer
from tests.engine.world import World

HOUR_MS = 3_600_000
IN_APP = Policy(
    "in_app",
    "v1",
    "news",
    (Step("in_app", wait=(("read", HOUR_MS),)), Step("sms", wait=(("delivered", HOUR_MS),))),
    topic="news",
)
PERSON = "/v1/inbox/olena"
ONLY_AN_ID = {"id": "olena"}


@pytest.fixture
async def site(store_url: str | None) -> AsyncIterator[Site]:
    world = World(MAIL, TEXT, PUSH, IN_APP, url=store_url)
    async with open_site("keys", world=world) as opened:
        await opened.add_key("kk_inbox", "inbox")
        await opened.add_key("kk_all", "all")
        await opened.add_key("kk_events", "events")
        opened.client.headers["Authorization"] = "Bearer kk_all"
        yield opened


async def item_of(site: Site, id: str, *, recipient: Any = ONLY_AN_ID, **given: Any) -> str:
    """Have a message leave an item; the message's id."""
    message = await site.publish(id=id, type="news", recipient=recipient)
    content = {"title": f"News {id}", "text": "…", "locale": "uk", **given.pop("content", {})}
    expires_at = given.pop("expires_at", site.world.now + 24 * HOUR_MS)
    await site.hand_off(message, None, InboxItem(content, expires_at, **given))  # type: ignore[arg-type]  # no provider's id
    return message


async def token(site: Site, recipient: str = "olena", **body: Any) -> str:
    answer = await site.client.post(f"/v1/inbox/{recipient}/tokens", json=body or None)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["token"]
    return found


async def get(site: Site, path: str = "", **query: Any) -> dict[str, Any]:
    answer = await site.client.get(PERSON + path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(site: Site, path: str, body: Any = None) -> dict[str, Any]:
    answer = await site.client.post(PERSON + path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def attempt(site: Site, message: str) -> dict[str, Any]:
    found: dict[str, Any] = (await site.message(message))["attempts"][0]
    return found


async def test_a_stored_item_is_accepted_and_not_delivered_until_somebody_takes_it(
    site: Site,
) -> None:
    message = await item_of(
        site,
        "1",
        category="orders",
        pinned=True,
        content={"url": "https://shop.example/1", "data": {"order": 1}},
    )
    assert (await attempt(site, message))["outcome"] == "accepted"
    assert (await attempt(site, message))["state"] == "accepted"
    found = await get(site)
    assert found["counts"] == {"unseen": 1, "unread": 1} and found["next_cursor"] is None
    (item,) = found["items"]
    assert (
        item.items()
        >= {
            "id": f"{message}-0",
            "message": message,
            "category": "orders",
            "pinned": True,
            "title": "News 1",
            "url": "https://shop.example/1",
            "data": {"order": 1},
            "seen_at": None,
            "read_at": None,
        }.items()
    )
    assert (await attempt(site, message))["state"] == "delivered"
    assert (await site.message(message))["status"] == "running"


async def test_a_read_ends_the_cascade_once_and_unread_takes_nothing_back(site: Site) -> None:
    message = await item_of(site, "1")
    for _ in range(2):
        assert (await post(site, f"/{message}-0/read"))["counts"] == {"unseen": 0, "unread": 0}
    ended = await site.message(message)
    assert (ended["status"], ended["succeeded_by"]) == ("succeeded", "in_app")
    assert (await post(site, f"/{message}-0/unread"))["counts"] == {"unseen": 0, "unread": 1}
    await post(site, f"/{message}-0/read")
    receipts = [
        line for line in (await site.message(message))["trace"] if "ReceiptReceived" in str(line)
    ]
    assert len(receipts) == 1
    assert (await site.message(message))["status"] == "succeeded"


async def test_a_click_is_a_read_and_names_its_action(site: Site) -> None:
    message = await item_of(site, "1")
    await post(site, f"/{message}-0/click", {"action": "buy"})
    engagement = (await attempt(site, message))["engagement"]
    assert set(engagement) == {"clicked"}
    (item,) = (await get(site))["items"]
    assert item["clicked_at"] and item["read_at"] and item["seen_at"]


async def test_marks_of_what_is_gone_and_repeats_are_no_errors(site: Site) -> None:
    before = await get(site)
    for path in ("/nothing/read", "/nothing/click", "/nothing/archive"):
        assert await post(site, path) == {"seq": before["seq"], "counts": before["counts"]}
    is_problem(await site.client.post(f"{PERSON}/nothing/eaten"), 404)
    is_problem(await site.client.post(f"{PERSON}/x/click", json={"acton": "x"}), 400, "bad_field")
    is_problem(await site.client.post(f"{PERSON}/x/click", json={"action": 1}), 400, "bad_field")


async def test_all_read_is_for_what_was_shown(site: Site) -> None:
    old = [await item_of(site, str(n)) for n in range(3)]
    shown = (await get(site))["seq"]
    new = await item_of(site, "new")
    for _ in range(2):
        found = await post(site, "/all/read", {"up_to": shown})
    assert found["counts"] == {"unseen": 1, "unread": 1}
    assert [(await site.message(id))["status"] for id in (*old, new)] == [
        "succeeded", "succeeded", "succeeded", "running",
    ]  # fmt: skip
    await post(site, "/all/seen", {"up_to": found["seq"]})
    assert (await get(site))["counts"] == {"unseen": 0, "unread": 1}
    for wrong in ({}, {"up_to": "1"}, {"up_to": -1}, {"up_to": True}):
        is_problem(await site.client.post(f"{PERSON}/all/read", json=wrong), 400, "bad_field")


async def test_a_list_goes_page_by_page_and_can_be_narrowed(site: Site) -> None:
    ids = [f"{await item_of(site, str(n), category='ab'[n % 2])}-0" for n in range(5)]
    pinned = f"{await item_of(site, 'p', pinned=True)}-0"
    seen, cursor = [], None
    while True:
        page = await get(site, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [pinned, *reversed(ids)]
    assert [one["id"] for one in (await get(site, category="b"))["items"]] == [ids[3], ids[1]]
    await post(site, f"/{ids[0]}/archive")
    assert len((await get(site))["items"]) == 5
    assert [one["id"] for one in (await get(site, status="archived"))["items"]] == [ids[0]]
    assert len((await get(site, status="all"))["items"]) == 6
    await post(site, f"/{ids[1]}/seen")
    assert len((await get(site, status="unseen"))["items"]) == 4
    for query in ({"status": "old"}, {"cursor": "2-x"}, {"cursor": "0-" + "9" * 20}, {"page": 2}):
        is_problem(await site.client.get(PERSON, params=query), 400, "bad_parameter")


async def test_changes_since_a_number_until_that_is_too_long_ago(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await item_of(site, "1")
    known = (await get(site))["seq"]
    second = await item_of(site, "2")
    await site.world.engine.submit(Cancel(first))
    found = await get(site, "/changes", after=known)
    assert [one["id"] for one in found["items"]] == [f"{second}-0"]
    assert [one["id"] for one in found["gone"]] == [f"{first}-0"]
    assert (await attempt(site, second))["state"] == "delivered"
    assert await get(site, "/changes", after=found["seq"]) == {
        "items": [], "gone": [], "counts": {"unseen": 1, "unread": 1}, "seq": found["seq"],
    }  # fmt: skip
    for after in (found["seq"] + 1, 1):
        gone = await site.client.get(f"{PERSON}/changes", params={"after": after})
        is_problem(gone, 410, "too_long_ago")
    assert (await get(site, "/changes", after=0))["seq"] == found["seq"]
    monkeypatch.setattr("orchestrator.api.inbox.CHANGES_MAX", 1)
    is_problem(await site.client.get(f"{PERSON}/changes", params={"after": known}), 410)
    for query in ({}, {"after": "x"}, {"after": -1}):
        is_problem(await site.client.get(f"{PERSON}/changes", params=query), 400, "bad_parameter")


async def test_a_click_elsewhere_reads_the_item(site: Site) -> None:
    message = await item_of(site, "1", recipient=OLENA)
    site.world.now += HOUR_MS
    assert await site.world.fire() == 1
    await site.hand_off(message, "sms-1")
    assert (await get(site))["counts"]["unread"] == 1
    clicked = Receipt(state=Engagement.CLICKED)
    for _ in range(2):
        await site.world.engine.submit(RecordReceipt("texts", clicked, message, 1))
    assert (await get(site))["counts"] == {"unseen": 0, "unread": 0}


@contextmanager
def uninstalled(channel: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of a channel is gone."""
    points = {name: point for name, point in registry.channel_points().items() if name != channel}
    with monkeypatch.context() as patched:
        patched.setattr(registry, "channel_points", lambda: points)
        registry.channels.cache_clear()
        try:
            yield
        finally:
            registry.channels.cache_clear()


async def test_what_went_to_a_channel_that_is_not_installed_any_more_can_be_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicked, cancelled, erased = [await item_of(site, n, recipient=OLENA) for n in "123"]
    site.world.now += HOUR_MS
    assert await site.world.fire() == 3
    for message in (clicked, cancelled, erased):
        await site.hand_off(message, f"sms-{message}")
    with uninstalled("sms", monkeypatch):
        await post(site, f"/{clicked}-0/click")
        await site.world.engine.submit(Cancel(cancelled))
        gone = Receipt(state=Delivery.DELIVERED, known_as=(("phone", "+380501234568"),))
        await site.world.engine.submit(RecordReceipt("texts", gone, erased, 1))
        assert {one["message"] for one in (await get(site))["items"]} == {clicked, erased}
        await site.world.engine.submit(Erase("olena"))
    assert (await get(site, status="all"))["items"] == []


async def test_an_erased_person_has_no_items_and_whoever_shows_them_must_read_anew(
    site: Site,
) -> None:
    await item_of(site, "1")
    known = (await get(site))["seq"]
    exported = (await site.client.get("/v1/recipients/olena/export")).json()
    assert [one["title"] for one in exported["inbox"]] == ["News 1"]
    await site.world.engine.submit(Erase("olena"))
    assert (await get(site))["items"] == []
    gone = await site.client.get(f"{PERSON}/changes", params={"after": known})
    is_problem(gone, 410, "too_long_ago")


# ---- who may call


async def test_a_person_s_token_is_for_their_own_inbox_and_for_its_time(site: Site) -> None:
    mine = bearer(await token(site, expires_in=60))
    call = site.client
    assert (await call.get(PERSON, headers=mine)).status_code == 200
    assert (await call.post(f"{PERSON}/x/read", headers=mine)).status_code == 200
    is_problem(await call.get("/v1/inbox/taras", headers=mine), 403, "forbidden")
    is_problem(await call.get("/v1/messages", headers=mine), 401, "unauthorized")
    is_problem(await call.post(f"{PERSON}/tokens", headers=mine), 401, "unauthorized")
    given = mine["Authorization"].removeprefix("Bearer ")
    bad = given[:-3] + ("AAA" if given[-3:] != "AAA" else "BBB")
    is_problem(await call.get(PERSON, headers=bearer(bad)), 401, "unauthorized")
    for method, path in (("GET", ""), ("GET", "/changes"), ("POST", "/x/read")):
        by_query = await call.request(
            method, f"{PERSON}{path}?token={given}", headers={"Authorization": ""}
        )
        is_problem(by_query, 401, "unauthorized")
    is_problem(await call.get(f"{PERSON}?token={given}"), 400, "bad_parameter")
    async with stream(site, f"?token={given}", Authorization="") as events_of_it:
        assert (await anext(events_of_it))["event"] == "change"
    site.world.now += 60_000
    is_problem(await call.get(PERSON, headers=mine), 401, "token_expired")


async def test_keys_need_the_scope_and_tokens_have_limits(site: Site) -> None:
    for key, status in (("kk_inbox", 200), ("kk_all", 200), ("kk_events", 403), ("kk_no", 401)):
        assert (await site.client.get(PERSON, headers=bearer(key))).status_code == status
        made = await site.client.post(f"{PERSON}/tokens", headers=bearer(key))
        assert made.status_code == status
    for body in ({"expires_in": 0}, {"expires_in": 86_401}, {"expires_in": "1h"}, {"ttl": 1}):
        is_problem(await site.client.post(f"{PERSON}/tokens", json=body), 400, "bad_field")


async def test_however_many_people_call_a_key_keeps_its_rate(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.auth.CACHE_MAX", 1)
    tokens = {name: bearer(await token(site, name)) for name in ("olena", "taras")}
    http = replace(site.settings.http, key_rate=(1, 60_000))
    site.settings = replace(site.settings, http=http)
    inbox = bearer("kk_inbox")
    assert (await site.client.get(PERSON, headers=inbox)).status_code == 200
    for name, mine in tokens.items():
        assert (await site.client.get(f"/v1/inbox/{name}", headers=mine)).status_code == 200
    is_problem(await site.client.get(PERSON, headers=inbox), 429, "too_many_requests")


async def test_a_token_works_where_no_key_is_needed_and_still_only_for_its_person() -> None:
    async with open_site("off", world=World(IN_APP)) as site:
        mine = bearer(await token(site))
        other_page = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
        path = f"{PERSON}/x/read"
        is_problem(await site.client.post(path, headers=other_page), 403, "foreign_origin")
        answer = await site.client.post(path, headers={**other_page, **mine})
        assert answer.status_code == 200
        is_problem(await site.client.get("/v1/inbox/taras", headers=mine), 403, "forbidden")


async def test_pages_of_named_origins_may_call(site: Site) -> None:
    shop = {"Origin": "https://shop.example"}
    asks = {**shop, "Access-Control-Request-Method": "POST"}
    is_problem(await site.client.options(f"{PERSON}/x/read", headers=asks), 403, "foreign_origin")
    answer = await site.client.get(PERSON, headers=shop)
    assert "Access-Control-Allow-Origin" not in answer.headers
    http = replace(site.settings.http, browser_origins=("https://shop.example",))
    site.settings = replace(site.settings, http=http)
    answer = await site.client.options(f"{PERSON}/x/read", headers={**asks, "Authorization": ""})
    assert answer.status_code == 204
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    refused = await site.client.get(
        "/v1/inbox/taras", headers={**shop, **bearer(await token(site))}
    )
    for one in (answer, refused, await site.client.get(PERSON, headers=shop)):
        assert one.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert one.headers["Vary"] == "Origin"
    keyed = await site.client.post(f"{PERSON}/tokens", headers=shop)
    assert "Access-Control-Allow-Origin" not in keyed.headers


# ---- streams


@asynccontextmanager
async def stream(
    site: Site, query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events of a stream, each with its name, id and data; a comment is ``{}``."""
    url = f"{PERSON}/stream{query}"
    async with site.client.stream("GET", url, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield events(answer)


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield found
            found = {}
            continue
        name, _, value = line.partition(": ")
        if name:
            found[name] = json.loads(value) if name == "data" else value


async def test_a_stream_has_the_state_at_once_and_every_change(site: Site) -> None:
    await item_of(site, "1")
    mine = bearer(await token(site))
    async with stream(site, **mine) as events_of_it:
        first = await anext(events_of_it)
        assert (first["event"], first["data"]["counts"]) == ("change", {"unseen": 1, "unread": 1})
        assert first["id"] == str(first["data"]["seq"])
        message = await item_of(site, "2")
        second = await anext(events_of_it)
        assert second["data"]["counts"] == {"unseen": 2, "unread": 2}
        found = await get(site, "/changes", after=first["id"])
        assert [one["message"] for one in found["items"]] == [message]
        await post(site, f"/{message}-0/read")
        assert (await anext(events_of_it))["data"]["counts"] == {"unseen": 1, "unread": 1}


async def test_a_stream_keeps_its_connection_alive_and_ends_with_its_token(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.inbox_streams.HEARTBEAT_SECONDS", 0.01)
    async with stream(site, **bearer(await token(site, expires_in=60))) as events_of_it:
        assert (await anext(events_of_it))["event"] == "change"
        assert await anext(events_of_it) == {}
        site.world.now += 60_000
        left = [one async for one in events_of_it]
    assert left[-1] == {"event": "expired", "data": {}}


async def test_a_person_has_so_many_streams(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.api.inbox_streams.PERSON_STREAMS_MAX", 1)
        async with stream(site) as events_of_it:
            await anext(events_of_it)
            await must_come_later(site)
    async with asyncio.timeout(10):
        while "change" not in (await first_line(site)):
            continue


async def test_streams_leave_half_of_the_connections_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.api.connections.PUBLIC_CONNECTIONS_MAX", 3)
    async with open_site("off", world=World(IN_APP)) as site, stream(site) as events_of_it:
        await anext(events_of_it)
        await must_come_later(site)


async def must_come_later(site: Site) -> None:
    refused = await site.client.get(f"{PERSON}/stream")
    assert refused.status_code == 200
    assert refused.text.startswith("retry: 30000\n")


async def first_line(site: Site) -> str:
    async with site.client.stream("GET", f"{PERSON}/stream") as answer:
        return (await anext(answer.aiter_text())).split("\n")[1]


@contextmanager
def logged() -> Iterator[list[Any]]:
    """What is logged, from level info on."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with structlog.testing.capture_logs() as lines:
            yield lines
    finally:
        structlog.configure(wrapper_class=before)


async def test_a_stream_that_opens_while_the_store_is_away_has_the_state_once_it_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.inbox_streams.HEARTBEAT_SECONDS", 0.01)
    await item_of(site, "1")
    with logged() as logs:
        with monkeypatch.context() as patched:
            for name in ("inbox", "inbox_numbers"):
                patched.setattr(site.world.open_store, name, raising(StoreBusy("away")))
            async with stream(site) as events_of_it:
                assert [await anext(events_of_it) for _ in range(3)] == [{}] * 3
                patched.undo()
                async for one in events_of_it:
                    if one:
                        break
        assert one["data"]["counts"] == {"unseen": 1, "unread": 1}
    said = [line["event"] for line in logs]
    assert said.count("inbox.streams_deferred") == 1
    assert "api.failed" not in said


def raising(error: Exception) -> Any:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


async def test_an_erasure_reaches_an_open_stream(site: Site) -> None:
    await item_of(site, "1")
    async with stream(site) as events_of_it:
        assert (await anext(events_of_it))["data"]["counts"]["unread"] == 1
        await site.world.engine.submit(Erase("olena"))
        erased = await anext(events_of_it)
    assert erased["data"] == {"seq": 0, "counts": {"unseen": 0, "unread": 0}}


async def test_a_mark_has_only_its_own_inbox_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.inbox_streams.LOOK_SECONDS", 3_600)
    message, store, asked = await item_of(site, "1"), site.world.open_store, []
    inbox_numbers = store.inbox_numbers

    async def noted(people: list[str]) -> dict[str, int]:
        asked.append(people)
        found: dict[str, int] = await inbox_numbers(people)
        return found

    monkeypatch.setattr(store, "inbox_numbers", noted)
    async with stream(site) as events_of_it:
        await anext(events_of_it)
        url = "/v1/inbox/taras/stream"
        async with site.client.stream("GET", url) as other:
            await anext(other.aiter_lines())
            await post(site, f"/{message}-0/read")
            assert (await anext(events_of_it))["data"]["counts"] == {"unseen": 0, "unread": 0}
    assert asked[-1] == ["olena"]


@pytest.mark.parametrize(
    ("path", "wait"),
    [
        (f"{PERSON}/stream", "api_key"),
        ("/v1/recipients/olena/export", "api_key"),
        ("/v1/recipients/olena/export", "message"),
    ],
)
async def test_who_leaves_too_early_is_no_error(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str, wait: str
) -> None:
    """They leave while the store looks for something."""
    await item_of(site, "1")
    store, looking, left = site.world.open_store, asyncio.Event(), asyncio.Event()
    look = getattr(store, wait)

    async def slow(*given: Any) -> Any:
        looking.set()
        await left.wait()
        return await look(*given)

    monkeypatch.setattr(store, wait, slow)
    site.world.now += 3_600_000  # the key is looked for again
    with logged() as logs:
        _, writer = await ask_for(path, site)
        await looking.wait()
        writer.transport.abort()
        await asyncio.sleep(0.05)  # until the server has noticed
        left.set()
        await get(site)
    assert not [line for line in logs if line["log_level"] == "error"]


async def ask_for(path: str, site: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of its own with one request on it."""
    url = site.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    lines = (f"GET {path} HTTP/1.1", "Host: x", "Authorization: Bearer kk_all", "", "")
    writer.write("\r\n".join(lines).encode())
    return reader, writer


async def test_an_export_that_cannot_go_on_is_cut_off_and_has_no_second_head(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await item_of(site, "1")
    monkeypatch.setattr(site.world.open_store, "message", raising(StoreBusy("away")))
    reader, writer = await ask_for("/v1/recipients/olena/export", site)
    answer = await reader.read()
    writer.close()
    assert answer.count(b"HTTP/1.1") == 1 and not answer.endswith(b"\r\n0\r\n\r\n")


def test_a_token_is_nobody_else_s_and_no_other_token() -> None:
    keys = SigningKeys([(1, b"k" * 32, 0)])
    made = keys.inbox_token("Олена/1", 17)
    assert keys.read_inbox_token(made) == ("Олена/1", 17)
    for wrong in (made[:-1], made + "A", made.removeprefix("ki_"), "ki_", "ki_" + "A" * 40):
        assert keys.read_inbox_token(wrong) is None
    assert keys.read_inbox_token("ki_" + keys.unsubscribe("a", "b", "c", "d")) is None
