"""Journeys in both stores: rows, histories, keys, timers, and what ends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.policy import Policy, Step
from orchestrator.stores.journey_rows import EnteredRow, JourneyRow
from orchestrator.stores.rows import Changes, TimerRow, Wanted, WantedAddresses, bucket_of
from tests.engine.world import World

DAY_MS = 86_400_000
POLICY = Policy("texts", "v1", "shop.event", (Step("sms", wait=(("delivered", 600_000),)),))


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(POLICY, path=tmp_path / "k.db", url=store_url) as made:
        yield made


def row(id: str, recipient: str = "olena", **more: Any) -> JourneyRow:
    bare = JourneyRow(
        id, bucket_of(recipient), recipient, "trek", "g1", "running", 5, None, 50, b"{}", b"[]"
    )
    return bare._replace(**more)


async def commit(world: World, changes: Changes) -> None:
    async with world.store.unit() as unit:
        await unit.commit(changes)


async def ids(world: World, **given: str) -> list[str]:
    return [one.row.id for one in await world.store.journeys(**given)]  # type: ignore[arg-type]


async def test_a_journey_is_read_as_it_was_written_last_with_its_whole_history(
    world: World,
) -> None:
    await commit(world, Changes(journeys=[row("J1")], journey_lines=[("J1", b"a\n")]))
    ended = row("J1", status="completed", finished_at=9, due_at=None, state=b'{"x": 1}')
    await commit(world, Changes(journeys=[ended], journey_lines=[("J1", b"b\n")]))
    found = await world.store.journey("J1")
    assert found is not None
    assert found.row == ended
    assert found.history == b"a\nb\n"
    assert await world.store.journey("J2") is None


async def test_journeys_are_listed_by_person_name_and_status_the_newest_first(
    world: World,
) -> None:
    rows = [
        row("J1"),
        row("J2", status="completed", finished_at=7),
        row("J3", "taras"),
        row("J4", "taras", journey="cart"),
    ]
    await commit(world, Changes(journeys=rows))
    assert await ids(world) == ["J4", "J3", "J2", "J1"]
    assert await ids(world, recipient="olena") == ["J2", "J1"]
    assert await ids(world, recipient="olena", status="running") == ["J1"]
    assert await ids(world, journey="trek", before="J3") == ["J2", "J1"]
    assert await world.store.running_journeys() == {"trek": 2, "cart": 1}


async def test_a_batch_loads_journeys_by_id_and_the_running_ones_of_people(world: World) -> None:
    rows = [
        row("J1"),
        row("J2", status="completed", finished_at=7),
        row("J3", "taras"),
        row("J4", "ivan"),
    ]
    await commit(world, Changes(journeys=rows, recipients={"taras": b'{"id": "taras"}'}))
    async with world.store.unit() as unit:
        found = await unit.load(Wanted(journeys={"J2", "J3"}, journeys_of={"olena", "nobody"}))
    assert found.journeys == {"J1": rows[0], "J2": rows[1], "J3": rows[2]}
    assert found.journeys_of == {"olena": ["J1"], "nobody": []}
    assert found.recipients == {"taras": {"id": "taras"}}


async def test_a_key_that_was_begun_with_once_stays_known(world: World) -> None:
    first = EnteredRow("olena", "trek", "h1", "J1", 5)
    await commit(world, Changes(entered=[first]))
    await commit(world, Changes(entered=[first._replace(id="J9")]))
    wanted = {("olena", "trek", "h1"), ("olena", "trek", "h2"), ("taras", "trek", "h1")}
    async with world.store.unit() as unit:
        found = await unit.load_addresses(WantedAddresses(entered=wanted))
    assert found.entered == {("olena", "trek", "h1"): "J1"}


async def test_an_audit_sees_journeys_behind_messages_and_whether_their_timer_is_there(
    world: World,
) -> None:
    (message,) = (await world.publish("1")).messages
    changes = Changes(
        journeys=[row("J1"), row("J2", due_at=60), row("J3", status="exited", finished_at=7)],
        timers_in=[TimerRow(50, "J1"), TimerRow(50, "J2")],
        buckets={"J1": bucket_of("olena"), "J2": bucket_of("olena")},
    )
    await commit(world, changes)
    store = world.store
    everything = [(message, True), ("J1", True), ("J2", False)]
    assert await store.unfinished_after("", 10) == everything
    assert await store.unfinished_after("", 2) == everything[:2]
    assert await store.unfinished_after(message, 10, everyone=True) == everything[1:]
    assert [one.message for one in await store.due(50, 10)] == ["J1", "J2"]


async def test_what_has_ended_long_ago_is_purged_but_not_the_key_it_began_with(
    world: World,
) -> None:
    now = world.now
    rows = [
        row("J1", status="completed", finished_at=now - 91 * DAY_MS),
        row("J2", status="completed", finished_at=now - 1),
        row("J3", created_at=1),
    ]
    lines = [(one.id, b"x\n") for one in rows]
    key = EnteredRow("olena", "trek", "h1", "J1", 5)
    await commit(world, Changes(journeys=rows, journey_lines=lines, entered=[key]))
    while await world.store.purge(now):
        pass
    assert await ids(world) == ["J3", "J2"]
    left = await world.open_store.fetch_text("select journey from journey_history order by journey")
    assert [one[0] for one in left] == ["J2", "J3"]
    async with world.store.unit() as unit:
        found = await unit.load_addresses(WantedAddresses(entered={("olena", "trek", "h1")}))
    assert found.entered


async def test_an_erasure_leaves_no_row_of_a_persons_journeys(world: World) -> None:
    rows = [row("J1"), row("J2", "taras")]
    entered = [EnteredRow(one.recipient, "trek", "h", one.id, 5) for one in rows]
    lines = [(one.id, b"x\n") for one in rows]
    await commit(world, Changes(journeys=rows, journey_lines=lines, entered=entered))
    await commit(world, Changes(erased=["olena"]))
    assert await ids(world) == ["J2"]
    for table in ("journey_history", "entered"):
        found = await world.open_store.fetch_text(f"select count(*) from {table}")
        assert found[0][0] == 1, table
