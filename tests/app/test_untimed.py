"""Messages that have lost their timers behind our back are found, counted and repaired."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from orchestrator.core.message import Status
from orchestrator.engine.commands import RestoreTimer
from orchestrator.engine.untimed import without_timer
from orchestrator.primitives.durations import rfc3339
from tests.app.site import Site, lay_out, running
from tests.app.test_repair import Verbs
from tests.engine.world import World
from tests.stores.test_contract import POLICY

WEEK_MS = 7 * 86_400_000


async def execute(store: str, statement: str) -> None:
    """Change the store as somebody would by hand."""
    if store.startswith("postgres"):
        connection = await asyncpg.connect(store)
        await connection.execute(statement)
        await connection.close()
    else:
        with closing(sqlite3.connect(store)) as db, db:
            db.execute(statement)


async def scheduled(site: Site) -> str:
    """The id of a message that waits for a distant time."""
    event = site.event() | {"kaskadnotbefore": rfc3339(int(time.time() * 1000) + WEEK_MS)}
    status, answer = await site.post(event)
    assert status == 202, answer
    return str(answer["results"][0]["messages"][0])


def metric(site: Site) -> float:
    [family] = site.app.metrics.messages_without_timer.collect()
    return family.samples[0].value


async def test_a_lost_timer_is_counted_listed_and_given_back(
    tmp_path: Path, store_url: str | None
) -> None:
    config = lay_out(tmp_path, store_url or "sqlite:///./k.db")
    store = store_url or str(tmp_path / "k.db")
    verbs = Verbs(config)
    async with running(config) as site:
        assert site.app.maintenance is not None
        kept, lost = [await scheduled(site) for _ in range(2)]
        await execute(store, f"delete from timers where message = '{lost}'")
        await site.app.maintenance.audit()
        assert metric(site) == 1
        shown = await verbs.run("messages", "untimed", code=1)
        assert lost in shown and kept not in shown and "1 of 2 had no timer" in shown
        found: Any = await verbs.json("messages", "untimed", "--repair")
        assert [(one["id"], one["status"]) for one in found["items"]] == [(lost, "restored")]
        await site.app.maintenance.audit()
        assert metric(site) == 0
        message = await site.app.store.message(lost)
        assert message is not None
        timers = await site.app.store.under_way((-1, ""), 10)  # type: ignore[arg-type]
        assert {row.message: row.due_at for row, _ in timers}[lost] == message.message.due_at


async def test_a_message_that_has_lost_all_its_rows_waits_for_its_provider_again(
    tmp_path: Path, store_url: str | None
) -> None:
    store = store_url or str(tmp_path / "k.db")
    async with World(POLICY, path=tmp_path / "k.db", url=store_url) as world:
        (id,) = (await world.publish("1")).messages
        before = await world.store.claim("texts", 10, ())
        for table in ("timers", "ready"):
            await execute(store, f"delete from {table} where message = '{id}'")
        assert [one async for one in without_timer(world.store)] == [id]
        assert await world.store.claim("texts", 10, ()) == []
        for _ in range(2):  # a repeat changes nothing
            assert await world.engine.submit(RestoreTimer(id)) is True
            assert [one async for one in without_timer(world.store)] == []
            assert await world.store.claim("texts", 10, ()) == before
            assert len(await world.store.due(world.now + WEEK_MS, 10)) == 1


async def test_a_repaired_message_whose_deadline_has_passed_ends_at_once(
    tmp_path: Path, store_url: str | None
) -> None:
    store = store_url or str(tmp_path / "k.db")
    async with World(POLICY, path=tmp_path / "k.db", url=store_url) as world:
        (id,) = (await world.publish("1")).messages
        await execute(store, f"delete from timers where message = '{id}'")
        world.now += WEEK_MS
        assert await world.engine.submit(RestoreTimer(id)) is True
        assert (await world.message(id)).status is Status.EXPIRED
        assert await world.store.claim("texts", 10, ()) == []
        assert await world.engine.submit(RestoreTimer(id)) is False
        assert [one async for one in without_timer(world.store)] == []
