"""Every noun of the store's port, on both stores: the same calls give the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.facts import Unpreparable
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import ApplyFact
from orchestrator.stores.rows import (
    LANES,
    ApiKeyRow,
    Changes,
    DeadLetterRow,
    OrphanRow,
    ReferenceRow,
    Wanted,
    WantedAddresses,
)
from tests.engine.world import World

DAY_MS = 86_400_000
POLICY = Policy("texts", "v1", "shop.event", (Step("sms", wait=(("delivered", 600_000),)),))
OTP = Policy("otp", "v1", "shop.otp", (Step("sms"),), message_class="otp")
LETTER = DeadLetterRow("01L1", 5, "kafka:a/0/1", "bad_json", "why", {"k": "v"}, b"{")


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(
        POLICY, OTP, path=tmp_path / "k.db", emits_statuses=True, url=store_url
    ) as made:
        yield made


async def commit(world: World, changes: Changes) -> None:
    async with world.store.unit() as unit:
        await unit.commit(changes)


async def test_backlog_and_timers(world: World) -> None:
    (text,) = (await world.publish("1")).messages
    (otp,) = (await world.publish("2", type="shop.otp")).messages
    store = world.store
    assert await store.queues() == ["texts"]
    assert [row.message for row in await store.claim("texts", 10, ())] == [otp, text]
    assert [row.message for row in await store.claim("texts", 10, {(otp, 0)})] == [text]
    assert [row.message for row in await store.claim("texts", 10, (), (0, 0))] == [otp]
    depths = await store.depths()
    assert {lane: count for (_, lane), count in depths.items() if count} == {
        LANES["otp"]: 1,
        LANES["transactional"]: 1,
    }
    due_at = (await world.message(text)).due_at
    assert due_at is not None
    assert await store.due(due_at - 1, 10) == []
    assert await store.due(due_at, 10) == [(due_at, text), (due_at, otp)]
    assert await store.due(due_at, 10, otp=True) == [(due_at, otp)]
    assert await store.next_due() == await store.next_due(otp=True) == due_at


async def test_messages_and_recipients(world: World) -> None:
    first, second = [(await world.publish(str(n), id=f"user-{n}")).messages[0] for n in range(2)]
    await world.send(first)
    store = world.store

    async def ids(**given: Any) -> list[str]:
        return [row.message.id for row in await store.messages(**given)]

    assert await ids() == [second, first]
    assert await ids(recipients=["user-0"], policy="texts") == [first]
    assert await ids(before=second) == [first]
    assert await ids(status="no such status") == []
    stored = await store.message(first)
    assert stored is not None
    assert [line["fact"]["kind"] for line in stored.history] == [
        "Triggered",
        "Prepared",
        "Answered",
    ]
    assert stored.event["ce"]["id"] == "0"
    assert await store.message("nothing") is None
    assert ((await store.recipient("user-1")) or {})["id"] == "user-1"
    assert await store.recipient("nobody") is None


async def test_messages_are_found_by_the_reason_of_their_end(world: World) -> None:
    ids = [(await world.publish(str(n), id=f"user-{n}")).messages[0] for n in range(5)]
    for id in ids[1:]:
        reason = Reason.TOO_LONG if id == ids[2] else Reason.TEMPLATE_ERROR
        await world.engine.submit(ApplyFact(id, Unpreparable(0, reason, "x")))

    async def found(**given: Any) -> list[str]:
        return [row.message.id for row in await world.store.messages(**given)]

    broken = {"reason": "template_error"}
    assert await found(**broken) == [ids[4], ids[3], ids[1]]
    assert await found(**broken, limit=2) == [ids[4], ids[3]]
    assert await found(**broken, before=ids[4], since=ids[1]) == [ids[3], ids[1]]
    assert await found(**broken, before=ids[4], since=ids[2]) == [ids[3]]
    assert await found(**broken, status="suppressed", policy="texts") == [ids[4], ids[3], ids[1]]
    assert await found(**broken, recipients=["user-3"]) == [ids[3]]
    assert await found(since=ids[3]) == [ids[4], ids[3]]
    assert await found(reason="no_address") == []


async def test_outbox(world: World) -> None:
    await world.publish("1")
    events = await world.store.outbox("statuses", 10)
    assert events
    assert {event.recipient for event in events} == {"olena"}
    assert await world.store.waiting_statuses("statuses") == len(events)
    await world.store.delivered("statuses", [events[0].sequence])
    assert await world.store.waiting_statuses("statuses") == len(events) - 1
    assert await world.store.outbox("statuses", 10) == events[1:]


async def test_dead_letters(world: World) -> None:
    store = world.store
    await commit(world, Changes(dead_letters=[LETTER, LETTER._replace(id="01L2")]))
    await commit(world, Changes(dead_letters=[LETTER]))
    assert [row.id for row in await store.dead_letters(None, 10)] == ["01L2", "01L1"]
    assert [row.id for row in await store.dead_letters("01L2", 10)] == ["01L1"]
    assert [row.id for row in await store.dead_letters(None, 10, "bad_json", "01L2")] == ["01L2"]
    assert await store.dead_letters(None, 10, "no_recipient") == []
    assert await store.dead_letter("01L1") == LETTER
    assert await store.open_dead_letters() == 2
    await store.resolve_dead_letter("01L1", 9)
    assert await store.open_dead_letters() == 1
    assert await store.dead_letter("01L1") == LETTER._replace(replayed_at=9)
    assert await store.dead_letter("nothing") is None
    assert [await store.delete_dead_letter("01L1") for _ in range(2)] == [True, False]
    assert [row.id for row in await store.dead_letters(None, 10)] == ["01L2"]


async def test_versions_secrets_and_api_keys(world: World) -> None:
    store = world.store
    for document in ({"a": 1}, {"a": 2}):
        await store.keep_version("policy", "p", "v1", document)
    assert await store.version("policy", "p", "v1") == {"a": 1}
    assert await store.version("policy", "p", "v2") is None
    for secret, at, unless_since in (
        (b"1", 7, 0),
        (b"2", 7, 0),
        (b"3", 9, None),
        (b"4", 20, 9),
        (b"5", 20, 10),
    ):
        await store.add_secret("signing", secret, at, unless_since=unless_since)
    assert [(row.secret, row.created_at) for row in await store.secrets("signing")] == [
        (b"5", 20),
        (b"3", 9),
        (b"1", 7),
    ]
    bare = ApiKeyRow("id", "hash", ("events", "messages"), 3, None)
    full = ApiKeyRow("two", "hash2", ("all",), 4, None, "shop", 90, (600, 60_000))
    for row in (bare, full):
        await store.add_api_key(row)
        assert await store.api_key(row.hash) == row
    for used in ([("id", 60), ("two", 70)], [("id", 50)]):
        await store.use_api_keys(used)
    assert [row.used_at for row in await store.api_keys()] == [60, 70]
    assert await store.revoke_api_key("id", 4)
    assert not await store.revoke_api_key("id", 5)
    assert [row.revoked_at for row in await store.api_keys()] == [4, None]
    assert await store.api_key("another") is None


async def test_counters(world: World) -> None:
    store = world.store
    for amount in (5, 7):
        await commit(world, Changes(spent={("sms", "2026-01-01"): amount}))
    assert await store.spent("2026-01-01") == {"sms": 12}
    await store.count_receipts([("sms", 10, 1, 0), ("email", 9, 1, 1)])
    await store.count_receipts([("sms", 10, 1, 2)])
    assert await store.receipt_counts(10) == [("sms", 10, 2, 2)]


async def test_rows_past_their_time_are_purged_and_no_others(world: World) -> None:
    store, old, new = world.store, 1, world.now
    (id,) = (await world.publish("1")).messages
    orphans = [OrphanRow("texts", str(at), at, b"{}") for at in (old, new)]
    letters = [LETTER._replace(id=str(at), at=at) for at in (old, new)]
    await commit(world, Changes(orphans=orphans, dead_letters=letters))
    await store.purge(world.now)
    assert [row.at for row in await store.dead_letters(None, 10)] == [new]
    async with store.unit() as unit:
        wanted = {("texts", str(at)) for at in (old, new)}
        found = await unit.load_addresses(WantedAddresses(references=wanted))
    assert set(found.orphans) == {("texts", str(new))}
    assert await store.message(id) is not None
    await store.purge(world.now + 200 * DAY_MS)
    assert await store.dead_letters(None, 10) == []
    assert await store.message(id) is not None, "an unfinished message must stay"


async def test_owners_are_found_by_the_hash_of_their_address(world: World) -> None:
    store = world.store
    await commit(world, Changes(owners_in=[("h1", "b"), ("h1", "a"), ("h2", "a")]))
    await commit(world, Changes(owners_in=[("h1", "a")]))
    assert await store.owners(["h1"], 10) == {"h1": ["a", "b"]}
    assert await store.owners(["h1"], 1) == {"h1": ["a"]}
    await commit(world, Changes(owners_out=[("h1", "a"), ("h3", "a")], owners_in=[("h3", "c")]))
    owners = await store.owners(["h1", "h2", "h3", "h4"], 10)
    assert owners == {"h1": ["b"], "h2": ["a"], "h3": ["c"]}


async def test_people_and_addresses_of_nobody_are_read_by_pages(world: World) -> None:
    store = world.store
    documents = {id: f'{{"id": "{id}"}}'.encode() for id in ("b", "a", "Я", "c")}
    await commit(world, Changes(recipients=documents, owners_in=[("h2", "a")]))
    await commit(world, Changes(addresses={hash: b'{"n": 1}' for hash in ("h3", "h1", "h2")}))
    assert [id for id, _ in await store.recipients_after("", 3)] == ["a", "b", "c"]
    assert await store.recipients_after("c", 3) == [("Я", {"id": "Я"})]
    assert await store.unowned_addresses("", 1) == [("h1", {"n": 1})]
    assert await store.unowned_addresses("h1", 9) == [("h3", {"n": 1})]


async def test_of_an_id_that_a_provider_gave_twice_the_earlier_message_has_it(world: World) -> None:
    (early,) = (await world.publish("1")).messages
    (late,) = (await world.publish("2", id="taras", phone="+380501234599")).messages
    for message in (late, early, late):
        await commit(world, Changes(references=[ReferenceRow("texts", "again", message, 0)]))
    async with world.store.unit() as unit:
        found = await unit.load(Wanted(references={("texts", "again")}))
    assert found.references == {("texts", "again"): (early, 0)}
    assert [*found.messages] == [early]
