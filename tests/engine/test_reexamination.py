"""After a reload, and after a start, what the old rules held is asked again."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from orchestrator.core.message import Message, Sending
from orchestrator.core.policy import Gap, Governance, Policy, Step
from orchestrator.engine.reexamination import BATCH_MAX
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
