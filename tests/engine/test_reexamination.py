"""After a reload, and after a start, what the old rules held is asked again."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest

from orchestrator.core.message import Message, Sending
from orchestrator.core.policy import Gap, Governance, Policy, Step
from orchestrator.engine.engine import Stopped
from orchestrator.engine.reexamination import BATCH_MAX, Reexamination
from tests.engine.world import World

POLICY = Policy("tale", "v1", "shop.event", (Step("sms"),))
STRICT = Governance(version="strict", gaps=(Gap("gap", 7_200_000, channels=("sms",)),))
ROUNDS_MAX = 600


async def places(world: World, ids: list[str]) -> set[Sending]:
    """Where the steps of these messages stand."""
    found: list[Message] = [await world.message(id) for id in ids]
    return {message.runs[0].sending for message in found}


async def test_what_a_rule_held_is_freed_once_the_rule_is_gone_and_else_leaves_no_line() -> None:
    people = BATCH_MAX + 7
    async with World(POLICY) as world:
        world.engine.rules = dataclasses.replace(world.engine.rules, governance=STRICT)
        held: list[str] = []
        for number in range(people):
            who: dict[str, Any] = {"id": f"p{number}", "phone": f"+38050{number:07}"}
            (first,) = (await world.publish(f"a{number}", **who)).messages
            await world.send(first)
            held += (await world.publish(f"b{number}", **who)).messages
        assert await places(world, held) == {Sending.HELD}
        lines = len((await world.stored(held[0])).history)
        round_of = world.runtime.reexamination
        round_of.start()
        await asyncio.sleep(0.5)
        assert await places(world, held) == {Sending.HELD}, "the same rules hold it"
        assert len((await world.stored(held[0])).history) == lines
        world.engine.rules = dataclasses.replace(world.engine.rules, governance=Governance())
        round_of.ask()
        for _ in range(ROUNDS_MAX):
            await asyncio.sleep(0.05)
            if await places(world, held) == {Sending.READY}:
                break
        await round_of.stop()
        assert await places(world, held) == {Sending.READY}


async def test_a_start_or_reload_with_the_same_configuration_asks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    async with World(POLICY) as world:
        for number in range(3):
            await world.publish(f"a{number}", id=f"p{number}")
        submit = world.engine.submit_many

        async def counted(commands: list[Any]) -> Any:
            asked.append(len(commands))
            return await submit(commands)

        monkeypatch.setattr(world.engine, "submit_many", counted)
        for digest, expected in (
            ("one", 3),
            ("one", 0),
            ("two", 3),
            ("one", 3),
            ("", 3),
            ("one", 0),
        ):
            world.engine.rules = dataclasses.replace(world.engine.rules, digest=digest)
            round_of = Reexamination(world.engine, world.store, time.monotonic)
            round_of.start()
            for _ in range(ROUNDS_MAX):
                await asyncio.sleep(0.02)
                if sum(asked) >= expected and not (digest and await world.store.unexamined(digest)):
                    break
            await round_of.stop()
            assert (digest, sum(asked)) == (digest, expected)
            asked.clear()


async def test_a_round_that_was_broken_off_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(POLICY) as world:
        await world.publish("a")
        world.engine.rules = dataclasses.replace(world.engine.rules, digest="one")
        submit = world.engine.submit_many

        async def stopped(commands: list[Any]) -> Any:
            raise Stopped

        for way, left in ((stopped, True), (submit, False)):
            monkeypatch.setattr(world.engine, "submit_many", way)
            round_of = Reexamination(world.engine, world.store, time.monotonic)
            round_of.start()
            for _ in range(ROUNDS_MAX if not left else 10):
                await asyncio.sleep(0.05)
                if not await world.store.unexamined("one"):
                    break
            await round_of.stop()
            assert bool(await world.store.unexamined("one")) == left
