"""The embedded store's own promises: one file, one process."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.policy import Policy, Step
from orchestrator.stores.port import StoreInUse
from orchestrator.stores.rows import Changes, NewEventRow, RawReceiptRow, ReadyRow, Wanted
from orchestrator.stores.sqlite import schema
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.stores.tables import DAY_MS
from tests.engine.world import World

POLICY = Policy(
    "cascade", "v1", "shop.event", (Step("viber", wait=(("delivered", 600_000),)), Step("sms"))
)


async def test_a_second_service_on_the_same_file_is_refused(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "k.db")
    await first.open()
    with pytest.raises(StoreInUse, match="in use by process"):
        await SqliteStore(tmp_path / "k.db").open()
    await first.close()


def modes_in(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.suffix != ".lock"}


async def test_nobody_else_on_the_machine_can_read_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    await store.add_secret("signing", b"secret", 0)
    assert modes_in(tmp_path) == {0o600}
    await store.close()


async def test_what_is_being_written_is_not_seen_before_it_is_committed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    begun, go_on = threading.Event(), threading.Event()

    def slowly(db: sqlite3.Connection) -> None:
        db.execute("insert into ready values ('viber', 1, 0, 'm1', 0)")
        begun.set()
        go_on.wait(10)

    writing = asyncio.create_task(store._write(slowly))
    await asyncio.to_thread(begun.wait, 10)
    assert await store.queues() == []
    go_on.set()
    await writing
    assert await store.queues() == ["viber"]
    await store.close()


class Lingering(SqliteStore):
    """
    Its commits are on the disk, for everybody to see, before the caller gets its answer.
    """

    seen: asyncio.Event
    released: asyncio.Event

    async def _finish(self, work: Any) -> Any:
        result = await super()._finish(work)
        self.seen.set()
        await self.released.wait()
        return result


async def test_whoever_finds_a_new_row_finds_the_person_and_the_address_that_came_with_it(
    tmp_path: Path,
) -> None:
    store = Lingering(tmp_path / "k.db")
    await store.open()
    store.seen, store.released = asyncio.Event(), asyncio.Event()
    assert not (await store.load(Wanted(recipients={"olena"}))).recipients  # the absence is cached
    assert not await store.addresses({"hash"})
    changes = Changes(recipients={"olena": b'{"id":"olena"}'}, addresses={"hash": b'{"seen":1}'})
    changes.ready_in.append(ReadyRow("viber", 1, 0, "m1", 0))
    committing = asyncio.create_task(store.commit(changes))
    await store.seen.wait()
    assert await store.queues() == ["viber"]
    assert (await store.load(Wanted(recipients={"olena"}))).recipients == {"olena": {"id": "olena"}}
    assert await store.addresses({"hash"}) == {"hash": {"seen": 1}}
    store.released.set()
    await committing
    await store.close()


async def test_a_write_whose_caller_has_gone_is_finished_before_the_next_one_begins(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    begun, go_on = threading.Event(), threading.Event()

    def slowly(db: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)
        db.execute("insert into ready values ('viber', 1, 0, 'm1', 0)")

    writing = asyncio.create_task(store._write(slowly))
    await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    batch = asyncio.create_task(store.commit(Changes(ready_in=[ReadyRow("sms", 1, 0, "m2", 0)])))
    await asyncio.sleep(0)
    assert not batch.done()
    go_on.set()
    await batch
    assert await store.queues() == ["sms", "viber"]
    await store.close()


async def test_a_batch_that_cannot_be_written_leaves_nothing_and_the_next_one_is(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    event = NewEventRow("shop", "1", b"digest", "accepted", (), 0)
    with pytest.raises(sqlite3.IntegrityError):
        await store.commit(Changes(events=[event, event]))
    await store.commit(Changes(events=[event]))
    assert (await store.load(Wanted(events={("shop", "1")}))).events
    await store.close()


async def test_a_commit_that_fails_leaves_nothing_and_the_next_one_succeeds(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    store._writer.execute("pragma foreign_keys=on")
    store._writer.execute("create table parents (id primary key)")
    store._writer.execute(
        "create table children (parent references parents deferrable initially deferred)"
    )
    with pytest.raises(sqlite3.IntegrityError):  # not at the statement, but at the commit
        await store._write(lambda db: db.execute("insert into children values (1)"))
    await store._write(lambda db: db.execute("insert into parents values (1)"))
    assert store._reader.execute("select count(*) from children").fetchone() == (0,)
    await store.close()


async def test_a_file_that_a_newer_release_has_migrated_is_read_and_written(
    tmp_path: Path,
) -> None:
    world = World(POLICY, path=tmp_path / "k.db")
    await world.open()
    (id,) = (await world.publish()).messages
    await world.close()
    as_a_newer_release_migrates_it(tmp_path / "k.db")
    await world.open()
    await world.send(id)
    await world.publish("2")
    kinds = [line["fact"]["kind"] for line in (await world.stored(id)).history]
    assert kinds == ["Triggered", "Prepared", "Answered"]
    await world.close()


def as_a_newer_release_migrates_it(path: Path) -> None:
    """Every table gets another column, which is all that a migration may do to old releases."""
    db = sqlite3.connect(path)
    for (table,) in db.execute(
        "select name from sqlite_master where type='table' and name not like 'sqlite_%'"
    ).fetchall():
        db.execute(f"alter table {table} add column more text not null default 'new'")
    db.execute("pragma user_version=2")
    db.close()


async def test_a_migration_that_fails_leaves_nothing_and_runs_whole_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path)
    (tmp_path / "0001_first.sql").write_text("create table a (x integer);")
    second = tmp_path / "0002_second.sql"
    second.write_text("create table b (x integer); insert into nowhere values (1);")
    with pytest.raises(OSError, match="nowhere"):
        schema.migrate_file(tmp_path / "k.db", up=True)
    assert schema.migrate_file(tmp_path / "k.db", up=False) == {
        "0001_first": True,
        "0002_second": False,
    }
    second.write_text("create table b (x integer);")
    assert schema.migrate_file(tmp_path / "k.db", up=True) == {"0002_second": True}


async def test_raw_receipts_past_their_time_are_dropped_and_no_others(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    now = 100 * DAY_MS
    old, new = (
        RawReceiptRow(now - store.receipts_ms - 1, "infobip", b"old"),
        RawReceiptRow(now - store.receipts_ms + 1, "infobip", b"new"),
    )
    await store.commit(Changes(raw_receipts=[old, old, new]))
    await store.purge(now)
    assert store._reader.execute("select body from raw_receipts").fetchall() == [(b"new",)]
    await store.close()
