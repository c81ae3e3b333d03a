"""The audit log of both stores: a chain that notices every change, and entries that count once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import EndPause, Erase, PutRecipient, StartPause
from orchestrator.stores.audit import AuditNote, verify
from orchestrator.stores.rows import ApiKeyRow, Changes
from tests.engine.world import World

DAY_MS = 86_400_000
POLICY = Policy("texts", "v1", "shop.event", (Step("sms"),))


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(POLICY, path=tmp_path / "k.db", url=store_url) as made:
        yield made


def note(number: int, at: int = 0, **more: Any) -> AuditNote:
    return AuditNote(f"01A{number:05d}", at, "user:olena", "key.created", f"key:{number}", more)


async def test_entries_are_chained_and_a_head_that_was_noted_is_found_again(world: World) -> None:
    store = world.store
    assert (await verify(store)).last is None
    for number in range(3):
        await store.append_audit(note(number, number, scopes=["all"]))
    found = await verify(store)
    assert (found.entries, found.broken) == (3, "")
    assert found.last is not None
    head = (found.last.sequence, found.last.hash)
    await store.append_audit(note(3))
    assert (await verify(store, head)).expected_found
    assert (await verify(store, (head[0], "0" * 64))).expected_found is False
    entries = await store.audit_after(0, 10)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert entries[0].details == '{"scopes":["all"]}'


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("update audit set actor = 'user:nobody' where sequence = 2", "entry 2 was changed"),
        ("update audit set details = '{}' where sequence = 1", "entry 1 was changed"),
        ("delete from audit where sequence = 2", "entries 2 to 2 are missing"),
        ("update audit set previous = hash where sequence = 3", "entry 3 does not follow entry 2"),
    ],
)
async def test_whatever_is_changed_afterwards_is_noticed(
    world: World, change: str, what: str
) -> None:
    for number in range(4):
        await world.store.append_audit(note(number, who="olena"))
    await world.open_store.transact([(change, ())])
    assert (await verify(world.store)).broken == what


async def test_an_entry_stands_with_its_change_or_not_at_all(world: World) -> None:
    store = world.store
    await store.add_api_key(ApiKeyRow("id", "hash", ("all",), 1, None), note(1))
    assert await store.revoke_api_key("id", 2, note(2))
    assert not await store.revoke_api_key("id", 3, note(3))
    assert not await store.delete_dead_letter("none", note(4))
    await store.add_secret("signing", b"a", 5, unless_since=0, note=note(5))
    await store.add_secret("signing", b"b", 5, unless_since=0, note=note(6))
    assert [one.id[-1] for one in await store.audit_after(0, 10)] == ["1", "2", "5"]

    row = await world.engine.submit(StartPause("channel", "sms", 2**53, "why", note(7)))
    assert row.why == "why"
    await world.engine.submit(EndPause("channel", "sms", note(8)))
    assert await world.engine.submit(EndPause("channel", "sms", note(9))) is None
    await world.engine.submit(PutRecipient("olena", {"first_name": "Olena"}))
    await world.engine.submit(Erase("olena", note(10)))
    with pytest.raises(LookupError):
        await world.engine.submit(Erase("nobody", note(11)))
    ids = [one.id[-2:] for one in await store.audit_after(3, 10)]
    assert ids == ["07", "08", "10"]
    assert (await verify(store)).broken == ""


async def test_a_batch_that_is_decided_twice_has_one_entry(world: World) -> None:
    for _ in range(2):
        async with world.store.unit() as unit:
            await unit.commit(Changes(at=world.now, audit=[note(1), note(2)]))
    assert (await verify(world.store)).entries == 2


async def test_writers_at_once_make_one_chain(world: World) -> None:
    await asyncio.gather(*(world.store.append_audit(note(number)) for number in range(40)))
    found = await verify(world.store)
    assert (found.entries, found.broken) == (40, "")


async def test_old_entries_go_and_the_chain_holds_from_the_first_that_is_left(
    world: World,
) -> None:
    old = world.now - 731 * DAY_MS
    for number, at in enumerate((old, old, world.now, world.now)):
        await world.store.append_audit(note(number, at))
    await world.store.purge(world.now)
    assert [one.sequence for one in await world.store.audit_after(0, 10)] == [3, 4]
    await world.store.purge(world.now + 3_000 * DAY_MS)
    await world.store.append_audit(note(9))
    assert [one.sequence for one in await world.store.audit_after(0, 10)] == [4, 5]
    assert (await verify(world.store)).broken == ""


async def test_entries_are_found_by_who_what_whom_and_when(world: World) -> None:
    for number in range(4):
        await world.store.append_audit(note(number)._replace(actor=f"key:k{number % 2}"))
    found = await world.store.audit_entries(actor="key:k1", limit=10)
    assert [one.subject for one in found] == ["key:3", "key:1"]
    assert await world.store.audit_entries(action="pause.started") == []
    assert len(await world.store.audit_entries(subject="key:2")) == 1
    since = await world.store.audit_entries(since="01A00001", before="01A00003")
    assert [one.id for one in since] == ["01A00002", "01A00001"]
