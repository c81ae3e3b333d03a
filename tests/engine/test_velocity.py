"""One-time codes by SMS: how many may go to a number, and to its neighbours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.core.message import Status
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.rules import Limits
from tests.engine.world import World

CODE = Policy("code", "v1", "shop.event", (Step("sms"),), message_class="otp", deadline_ms=600_000)


async def code(world: World, number: int, phone: str, who: str = "olena") -> Reason | None:
    """Ask for one code; why it was not sent, None where it was."""
    (id,) = (await world.publish(str(number), id=who, phone=phone)).messages
    message = await world.message(id)
    if message.status is not Status.SUPPRESSED:
        await world.send(id)
        assert (await world.message(id)).status is Status.SUCCEEDED
        return None
    return message.reason


async def test_a_number_gets_so_many_codes_and_no_more_until_the_window_has_moved_on() -> None:
    async with World(CODE) as world:
        for number in range(5):
            assert await code(world, number, "+380501234567") is None
        assert await code(world, 5, "+380501234567") is Reason.VELOCITY_LIMIT
        world.at(3_601)
        assert await code(world, 6, "+380501234567") is None


async def test_the_neighbours_of_a_number_share_a_limit() -> None:
    async with World(CODE) as world:
        world.engine.rules = replace(world.rules, limits=Limits(None, (3, 600_000)))
        for number in range(3):
            assert await code(world, number, f"+38050123450{number}", f"user-{number}") is None
        assert await code(world, 3, "+380501234599", "user-3") is Reason.VELOCITY_LIMIT
        assert await code(world, 4, "+380501239999", "user-4") is None


async def test_a_restart_forgets_no_code(tmp_path: Path) -> None:
    world = World(CODE, path=tmp_path / "k.db")
    await world.open()
    for number in range(5):
        assert await code(world, number, "+380501234567") is None
    await world.close()
    await world.open()
    assert await code(world, 5, "+380501234567") is Reason.VELOCITY_LIMIT
    await world.close()
