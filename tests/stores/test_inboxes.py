"""Inboxes keep one contract on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import Erase
from orchestrator.stores.item_rows import ItemMark, ItemRow, NewItemRow
from orchestrator.stores.rows import Changes
from tests.engine.world import World

POLICY = Policy("texts", "v1", "shop.event", (Step("sms"),))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(POLICY, path=tmp_path / "k.db", url=store_url) as made:
        yield made


async def commit(world: World, changes: Changes) -> None:
    changes.at = world.now
    async with world.store.unit() as unit:
        await unit.commit(changes)


def item(world: World, number: int, recipient: str = "olena", **given: Any) -> NewItemRow:
    """The ``number``-th item; it expires in a day."""
    row = NewItemRow(
        f"m{number:05d}-0", recipient, f"m{number:05d}", 0, "inbox", "", 0, world.now,
        world.now + DAY_MS, b'{"title":"t","text":"x"}',
    )  # fmt: skip
    return row._replace(**given)


async def add(world: World, *rows: NewItemRow) -> None:
    await commit(world, Changes(items=list(rows)))


async def ids(world: World, status: str = "", **given: Any) -> list[str]:
    found = await world.store.items("olena", world.now, status=status, **given)
    return [row.id[:6] for row in found]


async def seq(world: World, recipient: str = "olena") -> int:
    return (await world.store.inbox(recipient, world.now)).seq


async def changed(world: World, after: int) -> list[ItemRow]:
    return await world.store.changed_items("olena", after, world.now, 100)


async def test_items_come_pinned_first_then_the_newest_page_by_page(world: World) -> None:
    await add(world, *(item(world, n, pinned=int(n == 2)) for n in range(1, 6)))
    await add(world, item(world, 9, recipient="taras"))
    assert await ids(world) == ["m00002", "m00005", "m00004", "m00003", "m00001"]
    first = await world.store.items("olena", world.now, limit=2)
    assert await ids(world, before=(first[-1].pinned, first[-1].number), limit=2) == [
        "m00004",
        "m00003",
    ]
    assert await ids(world, category="none") == []
    numbers = [row.number for row in await world.store.items("olena", world.now)]
    assert len(set(numbers)) == 5


async def test_an_item_that_is_added_again_is_there_once_and_changes_nothing(world: World) -> None:
    await add(world, item(world, 1))
    before = await seq(world)
    await add(world, item(world, 1, category="other"))
    assert await ids(world) == ["m00001"]
    assert await seq(world) == before
    assert (await world.store.inbox_numbers(["olena", "nobody"])) == {"olena": before}


async def test_marks_set_what_they_imply_and_a_repeat_changes_nothing(world: World) -> None:
    await add(world, *(item(world, n) for n in range(1, 5)))
    store, at = world.store, world.now + 5

    async def mark(number: int, mark: ItemMark) -> ItemRow:
        id = f"m{number:05d}-0"
        await store.mark_item("olena", id, mark, at)
        once = await seq(world)
        await store.mark_item("olena", id, mark, at + 1)
        assert await seq(world) == once
        row = await store.item("olena", id, world.now)
        assert row is not None and row.seq == once
        return row

    row = await mark(1, ItemMark.SEEN)
    assert (row.seen_at, row.read_at) == (at, None)
    row = await mark(2, ItemMark.READ)
    assert (row.seen_at, row.read_at, row.clicked_at) == (at, at, None)
    row = await mark(2, ItemMark.UNREAD)
    assert (row.seen_at, row.read_at) == (at, None)
    row = await mark(3, ItemMark.CLICKED)
    assert (row.seen_at, row.read_at, row.clicked_at) == (at, at, at)
    assert (await mark(4, ItemMark.ARCHIVED)).archived_at == at
    assert await ids(world, "unseen") == []
    assert await ids(world, "unread") == ["m00002", "m00001"]
    assert await ids(world, "archived") == ["m00004"]
    assert await ids(world, "all") == ["m00004", "m00003", "m00002", "m00001"]
    state = await store.inbox("olena", world.now)
    assert (state.unseen, state.unread) == (0, 2)
    await store.mark_item("olena", "no such item", ItemMark.READ, at)
    await store.mark_item("taras", "m00001-0", ItemMark.READ, at)
    assert await ids(world, "unread") == ["m00002", "m00001"]


async def test_marking_all_leaves_what_came_since(world: World) -> None:
    await add(world, item(world, 1), item(world, 2))
    shown = await seq(world)
    await world.store.mark_item("olena", "m00001-0", ItemMark.SEEN, world.now)
    await add(world, item(world, 3))
    await world.store.mark_items("olena", shown, ItemMark.READ, world.now)
    assert await ids(world, "unread") == ["m00003"]
    assert {row.id for row in await changed(world, shown)} == {"m00001-0", "m00002-0", "m00003-0"}


async def test_marking_all_leaves_what_is_archived(world: World) -> None:
    await add(world, item(world, 1), item(world, 2))
    await world.store.mark_item("olena", "m00001-0", ItemMark.ARCHIVED, world.now)
    shown = await seq(world)
    for mark in (ItemMark.SEEN, ItemMark.READ):
        await world.store.mark_items("olena", shown, mark, world.now)
    rows = await world.store.items("olena", world.now, status="all")
    assert [(row.id[:6], row.seen_at, row.read_at) for row in rows] == [
        ("m00002", world.now, world.now),
        ("m00001", None, None),
    ]


async def test_whoever_knows_a_number_finds_every_change_after_it(world: World) -> None:
    await add(world, item(world, 1), item(world, 2))
    known = await seq(world)
    await commit(world, Changes(items=[item(world, 3)], items_withdrawn=[("olena", "m00001-0")]))
    await commit(world, Changes(items_read=[("olena", "m00002-0")]))
    found = await changed(world, known)
    assert [(row.id, row.document is None) for row in found] == [
        ("m00003-0", False),
        ("m00001-0", True),
        ("m00002-0", False),
    ]
    assert [row.seq for row in found] == [known + 1, known + 2, known + 3]
    again = Changes(items_read=[("olena", "m00002-0")], items_withdrawn=[("olena", "m00001-0")])
    await commit(world, again)
    assert await seq(world) == known + 3
    assert await ids(world) == ["m00003", "m00002"]


async def test_what_was_delivered_is_noted_and_is_no_change(world: World) -> None:
    await add(world, item(world, 1), item(world, 2))
    known = await seq(world)
    await world.store.note_delivered("olena", ["m00002-0", "gone"], world.now)
    rows = await world.store.items("olena", world.now)
    assert [row.delivered_at for row in rows] == [world.now, None]
    assert await seq(world) == known


async def test_an_expired_item_is_nowhere_and_is_purged(world: World) -> None:
    soon = world.now + HOUR_MS
    await add(world, item(world, 1, expires_at=soon), item(world, 2))
    known = await seq(world)
    world.now = soon
    assert await ids(world) == ["m00002"]
    assert await world.store.item("olena", "m00001-0", world.now) is None
    assert (await world.store.inbox("olena", world.now)).unread == 1
    assert [row.id for row in await changed(world, 0)] == ["m00002-0"]
    await world.store.purge(soon + 1)
    rows = await world.open_store.fetch_text("select id from items")
    assert [row[0] for row in rows] == ["m00002-0"]
    state = await world.store.inbox("olena", world.now)
    assert state.seq == known and state.forgotten < known - 1


async def test_a_withdrawal_is_known_for_a_week_and_then_no_number_before_it_is(
    world: World,
) -> None:
    await add(world, item(world, 1), item(world, 2))
    await commit(world, Changes(items_withdrawn=[("olena", "m00001-0")]))
    withdrawn = await seq(world)
    await world.store.purge(world.now + 6 * DAY_MS)
    assert (await world.store.inbox("olena", world.now)).forgotten < withdrawn
    await world.store.purge(world.now + 8 * DAY_MS)
    assert (await world.store.inbox("olena", world.now)).forgotten == withdrawn
    assert (await world.open_store.fetch_text("select count(*) from items"))[0][0] == 0


async def test_of_too_many_items_the_oldest_go_and_their_changes_are_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.stores.item_tables.ITEMS_MAX", 3)
    for number in range(1, 4):
        await add(world, item(world, number))
    forgotten = (await world.store.inbox("olena", world.now)).forgotten
    first = (await world.store.items("olena", world.now))[-1].number
    await add(world, item(world, 4), item(world, 5))
    assert await ids(world) == ["m00005", "m00004", "m00003"]
    state = await world.store.inbox("olena", world.now)
    assert forgotten < first < state.forgotten < state.seq


async def test_a_full_inbox_is_cut_without_sorting_its_items(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        for name in ("forget_items", "drop_items"):
            query = f"explain query plan {world.open_store.queries[name]}"
            steps = [row[3] for row in await world.open_store.fetch_text(query, "olena", 10)]
            assert steps
            assert not [step for step in steps if "TEMP B-TREE" in step], steps


async def test_an_inbox_that_comes_after_an_erasure_repeats_no_number(world: World) -> None:
    await world.publish()
    await add(world, item(world, 1), item(world, 9, recipient="taras"))
    before = await seq(world)
    await world.engine.submit(Erase("olena"))
    assert await ids(world) == [] and await seq(world) == 0
    assert await seq(world, "taras")
    world.now += 1_000
    await add(world, item(world, 2))
    state = await world.store.inbox("olena", world.now)
    assert state.forgotten > before


# ---- who waits for whom


@asynccontextmanager
async def holding(url: str, recipient: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has changed an inbox, as one that marks an item does."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("begin; set local lock_timeout = '5s'")
        await connection.execute("update inboxes set seq = seq + 1 where recipient = $1", recipient)
        yield connection
    finally:
        await connection.close()


async def until_waiting(connection: asyncpg.Connection) -> None:
    """Until somebody waits for a lock."""
    waiting = "select count(*) from pg_locks where not granted"
    async with asyncio.timeout(20):
        while not await connection.fetchval(waiting):
            await connection.execute("select pg_sleep(0.01)")


async def test_an_erasure_and_a_mark_never_wait_for_each_other(postgres_url: str) -> None:
    async with World(POLICY, url=postgres_url) as world:
        await world.publish()
        await add(world, item(world, 1))
        async with holding(postgres_url, "olena") as marking:
            erasing = asyncio.ensure_future(world.engine.submit(Erase("olena")))
            await until_waiting(marking)
            await marking.execute("update items set read_at = 1 where recipient = 'olena'")
            await marking.execute("commit")
            await erasing
        assert await ids(world, "all") == []


@pytest.mark.parametrize("work", ["marks", "erasures", "purge"])
async def test_who_takes_several_inboxes_takes_them_in_one_order(
    postgres_url: str, work: str
) -> None:
    async with World(POLICY, url=postgres_url) as world:
        for number, recipient in enumerate("bacdefgh"):
            await add(world, item(world, number, recipient))
        if work == "purge":
            gone = [(one, f"m{number:05d}-0") for number, one in enumerate("bacdefgh")]
            await commit(world, Changes(items_withdrawn=gone))
        works: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "marks": lambda: commit(
                world,
                Changes(items_read=[("b", "m00000-0")], items_withdrawn=[("a", "m00001-0")]),
            ),
            "erasures": lambda: commit(world, Changes(erased=["b", "a"])),
            "purge": lambda: world.store.purge(world.now + 8 * DAY_MS),
        }
        async with holding(postgres_url, "a") as other:
            working = asyncio.create_task(works[work]())
            await until_waiting(other)
            await other.execute("update inboxes set seq = seq + 1 where recipient <> 'a'")
            await other.execute("commit")
            await working
