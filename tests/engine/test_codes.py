"""Codes of pools: each to one message, and back where nothing of that message ever left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import NotSent, Refused
from orchestrator.core.policy import Dedupe, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import Cancel, Erase, RetryMessage
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import FreeCode, Imported
from tests.engine.world import World, address_hash

CASCADE = (Step("sms"),)
GIFT = Policy("gift", "v1", "shop.event", CASCADE, codes={"code": "spring"})
ONCE = Policy(
    "once", "v1", "shop.once", CASCADE, codes={"a": "spring", "b": "autumn"},
    dedupe=Dedupe("event.k", 3_600_000),
)  # fmt: skip
THEN = Policy("then", "v1", "kaskad.message.succeeded", CASCADE, codes={"code": "spring"})
PLAIN = Policy("plain", "v1", "shop.plain", CASCADE)


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(GIFT, ONCE, PLAIN, path=tmp_path / "k.db", url=store_url) as made:
        yield made


async def fill(world: World, pool: str, codes: Sequence[str], source: str = "f") -> list[Imported]:
    rows = [FreeCode(address_hash("code", code), code) for code in codes]
    note = AuditNote(world.new_id(), world.now, "test", "codes.imported", pool)
    return await world.store.import_codes(pool, source, rows, world.now, note)


async def code_of(world: World, id: str) -> list[str] | None:
    event = (await world.stored(id)).event
    codes: dict[str, list[str]] = event.get("codes", {})
    return codes.get("code")


async def free(world: World, pool: str = "spring") -> int:
    return {one.pool: one.free for one in await world.store.code_pools()}[pool]


async def test_an_import_refuses_doubles_and_knows_what_it_has_recorded(world: World) -> None:
    assert await fill(world, "spring", ["A", "B"]) == [Imported.RECORDED] * 2
    assert await fill(world, "spring", ["B", "C"]) == [Imported.KNOWN, Imported.RECORDED]
    assert await fill(world, "spring", ["A", "D"], "g") == [Imported.DOUBLE, Imported.RECORDED]
    assert await fill(world, "autumn", ["A"], "g") == [Imported.RECORDED]
    pools = [(one.pool, one.imported, one.free) for one in await world.store.code_pools()]
    assert pools == [("autumn", 1, 1), ("spring", 4, 4)]
    actions = [one.subject for one in await world.store.audit_entries(action="codes.imported")]
    assert sorted(actions) == ["autumn", "spring", "spring"], "one entry for each file"


async def test_each_message_has_a_code_of_its_own_in_the_order_of_the_file(world: World) -> None:
    await fill(world, "spring", ["A", "B", "C"])
    made = await asyncio.gather(*(world.publish(str(n), id=f"u{n}") for n in range(3)))
    found = [await code_of(world, one.messages[0]) for one in made]
    assert sorted(map(str, found)) == [f"['spring', '{code}']" for code in "ABC"]
    places = await world.store.code_places(address_hash("code", "A"))
    assert [(one.pool, one.message) for one in places] == [("spring", made[0].messages[0])]
    assert await free(world) == 0


async def test_an_empty_pool_suppresses_the_message_and_a_retry_gets_a_code(world: World) -> None:
    (id,) = (await world.publish()).messages
    message = await world.message(id)
    assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.NO_CODE)
    assert message.reason_detail == "spring"
    await fill(world, "spring", ["A"])
    again = await world.engine.submit(RetryMessage(id))
    assert again.message is not None
    assert await code_of(world, again.message) == ["spring", "A"]
    assert not (await world.message(again.message)).terminal


async def test_a_message_without_a_code_of_one_pool_takes_none_of_the_others(world: World) -> None:
    await fill(world, "spring", ["A"])
    (id,) = (await world.publish("1", {"k": 1}, type="shop.once")).messages
    assert (await world.message(id)).reason_detail == "autumn"
    assert await free(world) == 1


@pytest.mark.parametrize(
    ("outcome", "back"),
    [
        (None, 0),
        (NotSent(Reason.CONNECT_FAILED), 1),
        (Refused(Reason.REFUSED_RECIPIENT), 0),
    ],
)
async def test_a_code_comes_back_only_where_no_provider_has_read_it(
    world: World, outcome: NotSent | Refused | None, back: int
) -> None:
    await fill(world, "spring", ["A"])
    (id,) = (await world.publish()).messages
    await world.send(id, outcome)
    await world.engine.submit(Cancel(id))
    assert await free(world) == back


async def test_what_comes_back_goes_to_the_next(world: World) -> None:
    await fill(world, "spring", ["A"])
    (first,) = (await world.publish("1")).messages
    await world.engine.submit(Cancel(first))
    await world.engine.submit(Cancel(first))
    (second,) = (await world.publish("2", id="vira")).messages
    assert await code_of(world, second) == ["spring", "A"]
    await world.send(second)
    assert (await world.store.code_places(address_hash("code", "A")))[0].message == second


async def test_a_duplicate_and_a_message_nobody_can_get_take_no_code(world: World) -> None:
    await fill(world, "spring", ["A", "B", "C"])
    await fill(world, "autumn", ["X", "Y", "Z"])
    one, two = [
        (await world.publish(n, {"k": 7}, type="shop.once")).messages[0] for n in ("1", "2")
    ]
    assert (await world.message(two)).reason is Reason.DEDUPLICATED
    (none,) = (await world.publish("3", id="nobody", phone=None, email=None)).messages
    assert (await world.message(none)).reason is Reason.NO_ADDRESS
    assert (await world.stored(none)).event.keys() == {"ce", "data"}
    assert (await free(world), await free(world, "autumn")) == (2, 2)
    assert not (await world.message(one)).terminal


async def test_an_erasure_forgets_the_code_and_keeps_it_spent(world: World) -> None:
    await fill(world, "spring", ["A", "B"])
    (sent,) = (await world.publish("1")).messages
    await world.send(sent)
    (waiting,) = (await world.publish("2")).messages
    await world.engine.submit(Erase("olena"))
    assert await code_of(world, sent) is None
    assert await free(world) == 1, "the one of which nothing was sent"
    assert await fill(world, "spring", ["A"], "again") == [Imported.DOUBLE]
    assert (await world.message(waiting)).reason is Reason.ERASED


async def test_messages_that_inside_events_start_get_codes(
    store_url: str | None, tmp_path: Path
) -> None:
    async with World(PLAIN, THEN, path=tmp_path / "k.db", url=store_url) as world:
        await fill(world, "spring", ["A"])
        (id,) = (await world.publish(type="shop.plain")).messages
        await world.send(id)
        started: list[Message] = [one.message for one in await world.store.messages(policy="then")]
        assert [await code_of(world, one.id) for one in started] == [["spring", "A"]]
