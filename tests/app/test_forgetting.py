"""A profile that nobody has heard of goes after its time, and no opt-out goes with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.app.maintenance import Maintenance
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import Forget, OptOut, PutConsents, PutRecipient
from orchestrator.primitives.ids import IdMaker
from tests.engine.world import World, address_hash

DAY_MS = 86_400_000
YEAR_SECONDS = 365 * 86_400
POLICY = Policy("texts", "v1", "shop.event", (Step("sms"),))
PHONE, OTHERS = "+380671234567", "+380677654321"


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    world = World(POLICY, path=tmp_path / "k.db", url=store_url)
    world.new_id = IdMaker(lambda: world.now).next
    async with world as made:
        made.store.profiles_ms = 400 * DAY_MS
        yield made


async def no_keys() -> None:
    """This process has none."""


async def forget(world: World) -> None:
    await Maintenance(world.runtime, lambda: None, no_keys, works=True).forget_idle()


async def ids(world: World) -> list[str]:
    return [id for id, _ in await world.store.recipients_after("", 100)]


async def test_only_idle_people_are_forgotten(world: World) -> None:
    for id in ("idle", "changed", "olena"):
        await world.engine.submit(PutRecipient(id, {"first_name": "Olena"}))
    world.store.profiles_ms, kept = None, world.store.profiles_ms
    world.at(2 * YEAR_SECONDS)
    await forget(world)
    assert await ids(world) == ["changed", "idle", "olena"]
    world.store.profiles_ms = kept
    await world.engine.submit(PutRecipient("changed", {"first_name": "Ольга"}))
    await world.publish()
    await forget(world)
    assert await ids(world) == ["changed", "olena"]
    assert await world.store.owners([address_hash("phone", "+380501234567")], 9)


async def test_a_message_counts_after_it_is_gone_itself(world: World) -> None:
    [message] = (await world.publish()).messages
    await world.send(message, Accepted("id"))
    await world.open_store.transact([("update recipients set seen_at = 5", ())])
    world.at(100)
    await forget(world)  # it passes by while the message is there
    world.at(300 * 86_400)
    await world.fire()
    while await world.store.purge(world.now):
        pass
    await forget(world)
    assert await ids(world) == ["olena"]
    world.at(900 * 86_400)
    while await world.store.purge(world.now):
        pass
    await forget(world)
    assert await ids(world) == []
    assert not await world.store.owners([address_hash("phone", "+380501234567")], 9)


async def test_an_opt_out_outlives_the_profile_for_the_person_and_for_the_address(
    world: World,
) -> None:
    await world.engine.submit(PutRecipient("olena", {"phone": PHONE, "first_name": "Olena"}))
    await world.engine.submit(OptOut("olena"))
    await world.engine.submit(PutRecipient("ivan", {"phone": OTHERS}))
    await world.engine.submit(PutConsents("ivan", [{"state": "in", "topic": "sale"}]))
    world.at(2 * YEAR_SECONDS)
    for _ in range(2):
        await forget(world)
    for id, state in (("olena", "out"), ("ivan", "in")):
        left = await world.store.recipient(id)
        assert left is not None
        assert left.keys() == {"id", "attributes", "consents"}
        assert [state in row for row in left["consents"]] == [True]
    assert not await world.store.owners([address_hash("phone", PHONE)], 9)
    for number, (id, phone) in enumerate((("olena", OTHERS), ("somebody", PHONE))):
        [message] = (await world.publish(f"e{number}", id=id, phone=phone)).messages
        assert (await world.message(message)).reason is Reason.OPTED_OUT


async def test_who_has_changed_meanwhile_stays(world: World) -> None:
    await world.engine.submit(PutRecipient("olena", {"first_name": "Olena"}))
    found = await world.store.recipient("olena")
    assert found is not None
    await world.engine.submit(PutRecipient("olena", {"first_name": "Оля"}))
    assert not await world.engine.submit(Forget("olena", document=found))
    assert await ids(world) == ["olena"]
