"""A batch lets everything else in the process run, and ends when it has taken long enough."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from time import thread_time
from typing import Any

import pytest

from orchestrator.core.policy import Dedupe, Policy, Step
from orchestrator.engine.commands import Publish
from orchestrator.engine.lanes import BATCH_MAX
from tests.engine.world import World, event

HEAVY = "event.x|select('in', event.y)|list|length >= 0"
HEAVY_DATA = {"x": list(range(60)), "y": list(range(60, 120))}
PROMO = Policy("promo", "v1", "shop.promo", (Step("sms"),), when=HEAVY)
DEDUPED = Policy(
    "promo", "v1", "shop.promo", (Step("sms"),), dedupe=Dedupe(f"[event.id, {HEAVY}]", 1000)
)
CODE = Policy("code", "v1", "shop.code", (Step("sms"),), message_class="otp")


def promo(number: int, people: Sequence[str] = ("olena",)) -> Publish:
    profiles = [{"id": one, "phone": "+380501234567"} for one in people]
    data = {**HEAVY_DATA, "id": number}
    return Publish(event(f"p{number}", data, "shop.promo", None, profiles))


async def longest_gap(world: World, commands: Sequence[Publish]) -> float:
    """The longest that the loop's thread has worked without letting a ticker run, in seconds."""
    world.engine._ports.monotonic = thread_time  # other programs must not change the turns
    work = asyncio.ensure_future(world.engine.submit_many(commands))
    longest = 0.0
    gc.disable()  # it walks over all objects of all tests
    while not work.done():
        began = thread_time()
        await asyncio.sleep(0)
        longest = max(longest, thread_time() - began)
    gc.enable()
    assert not [answer for answer in work.result() if isinstance(answer, BaseException)]
    return longest


@pytest.mark.parametrize("policy", [PROMO, DEDUPED], ids=["condition", "dedupe"])
async def test_a_large_batch_of_heavy_events_holds_the_loop_no_longer_than_a_small_one(
    policy: Policy,
) -> None:
    async with World(policy) as world:
        await longest_gap(world, [promo(0)])
        small = await longest_gap(world, [promo(number) for number in range(1, 17)])
        large = await longest_gap(world, [promo(number) for number in range(100, 228)])
    assert large < 4 * small  # it was eight times as long when a batch never paused


async def test_a_heavy_fan_out_holds_the_loop_no_longer_the_more_recipients_it_has() -> None:
    async with World(PROMO) as world:
        await longest_gap(world, [promo(0)])
        small, large = [
            await longest_gap(world, [promo(count, [f"u{n}" for n in range(count)])])
            for count in (20, 200)
        ]
    assert large < 5 * small


class Evaluations:
    """Stands for evaluations that take 10 ms each by the world's clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.seconds = 0.0

    def __call__(self, expression: str, scope: Any) -> bool:
        assert self.world.seconds is not None
        self.world.seconds += 0.01
        return True


async def test_a_batch_that_takes_long_ends_early_and_a_code_passes_what_is_left() -> None:
    async with World(PROMO, CODE) as world:
        world.engine._evaluate = Evaluations(world)
        order: list[str] = []
        world.runtime.edges.observe = lambda decided, errors: order.extend(
            one.decision.message.policy for one in decided
        )
        others = asyncio.ensure_future(world.engine.submit_many([promo(n) for n in range(100)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await world.publish("c", type="shop.code")
        answers = await others
    assert [answer.status for answer in answers] == ["accepted"] * 100
    assert len(order) == 101
    assert order.index("code") < 60


async def test_what_a_batch_did_not_come_to_keeps_its_order() -> None:
    async with World(PROMO) as world:
        world.engine._evaluate = Evaluations(world)
        order: list[str] = []
        world.runtime.edges.observe = lambda decided, errors: order.extend(
            one.event["ce"]["id"] for one in decided
        )
        await world.engine.submit_many([promo(n) for n in range(300)])
    assert order == [f"p{n}" for n in range(300)]


async def test_a_batch_is_decided_in_one_go_where_time_stands_still() -> None:
    async with World(PROMO) as world:
        world.seconds = 0.0
        sizes: list[int] = []
        world.runtime.edges.observe = lambda decided, errors: sizes.append(len(decided))
        await world.engine.submit_many([promo(n) for n in range(BATCH_MAX)])
    assert sizes == [BATCH_MAX]
