"""OTP timers fire before many others that have been due for longer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from orchestrator.core.policy import Policy, Step
from orchestrator.engine.batch import Decided
from orchestrator.engine.lanes import BATCH_MAX
from tests.engine.world import World

HOUR = 3_600_000
CODE = Policy("code", "v1", "shop.code", (Step("sms"),), message_class="otp", deadline_ms=2 * HOUR)
PROMO = Policy(
    "promo", "v1", "shop.promo", (Step("sms"),), message_class="transactional", deadline_ms=HOUR
)
MANY = 600


async def test_a_code_that_is_due_last_fires_first() -> None:
    async with World(CODE, PROMO) as world:
        others = [
            world.publish(f"p-{number}", type="shop.promo", id=f"u-{number}")
            for number in range(MANY)
        ]
        await asyncio.gather(*others, world.publish("c", type="shop.code"))
        world.at(3 * 3600)
        fired: list[str] = []
        all_fired = asyncio.Event()

        def observe(decided: Sequence[Decided], errors: Mapping[str, int]) -> None:
            fired.extend(one.decision.message.policy for one in decided)
            if len(fired) > MANY:
                all_fired.set()

        world.runtime.edges.observe = observe
        await world.runtime.timers.start()
        await asyncio.wait_for(all_fired.wait(), 60)
        await world.runtime.timers.stop()
        beside = (
            BATCH_MAX if world.store.shared else 0
        )  # one other batch may be in hand at the same time
        assert fired.index("code") <= beside
        assert sorted(set(fired)) == ["code", "promo"]


async def test_timers_of_codes_are_found_among_all_and_by_themselves() -> None:
    async with World(CODE, PROMO) as world:
        (code,) = (await world.publish("c", type="shop.code")).messages
        (promo,) = (await world.publish("p", type="shop.promo")).messages
        world.at(3 * 3600)
        assert [message for _, message in await world.store.due(world.now, 10, otp=True)] == [code]
        assert [message for _, message in await world.store.due(world.now, 10)] == [promo, code]
        assert await world.store.next_due(otp=True) == (await world.message(code)).due_at
        assert await world.store.next_due() == (await world.message(promo)).due_at
