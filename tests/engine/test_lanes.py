"""
The order in which commands are decided: codes before everything, and short batches while they come.
"""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.core.facts import Due
from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import ApplyFact, Cancel, OptOut, Publish
from orchestrator.engine.engine import Busy
from orchestrator.engine.lanes import (
    BATCH_MAX,
    FACTS,
    OTP_ACTIVE_SECONDS,
    OTP_LANE,
    SHORT_BATCH_MAX,
    WAITING_MAX,
    Lanes,
    OtpPriority,
    YieldBudget,
    event_lane,
    lane_of,
)
from tests.engine.world import World, event

CODE = Policy("code", "v1", "shop.code", (Step("sms"),), message_class="otp")
PROMO = Policy("promo", "v1", "shop.promo", (Step("sms"),), message_class="transactional")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def filled(*, apart: bool = False) -> tuple[Lanes[str], Clock]:
    clock = Clock()
    return Lanes(clock, apart=apart), clock


def put(lanes: Lanes[str], lane: int, *ones: str) -> None:
    for one in ones:
        lanes.put(lane, one, alone=False)


def test_what_came_last_is_taken_first_where_it_is_a_code() -> None:
    lanes, _ = filled()
    put(lanes, event_lane(["promotional"]), "promo")
    put(lanes, event_lane(["service"]), "service")
    put(lanes, FACTS, "receipt")
    put(lanes, event_lane(["transactional"]), "order")
    put(lanes, event_lane(["promotional", "otp"]), "code")
    assert lanes.take(0) == ["code"]
    assert lanes.take(0) == ["receipt", "order", "service", "promo"]
    assert lanes.take(0) == []


def test_a_code_shares_its_batch_with_codes_only() -> None:
    lanes, _ = filled()
    put(lanes, FACTS, *("fact" for _ in range(500)))
    put(lanes, OTP_LANE, "code", "another")
    assert lanes.take(0) == ["code", "another"]
    assert "code" not in lanes.take(0)


def test_batches_are_short_while_codes_come() -> None:
    lanes, clock = filled()
    put(lanes, FACTS, *("fact" for _ in range(3 * BATCH_MAX)))
    assert len(lanes.take(0)) == BATCH_MAX
    put(lanes, OTP_LANE, "code")
    assert lanes.take(0) == ["code"]
    assert len(lanes.take(0)) == SHORT_BATCH_MAX
    clock.now += OTP_ACTIVE_SECONDS + 1
    assert len(lanes.take(0)) == BATCH_MAX


def test_where_two_batches_may_be_in_hand_codes_are_a_line_of_their_own() -> None:
    lanes, _ = filled(apart=True)
    put(lanes, FACTS, "fact")
    put(lanes, OTP_LANE, "code")
    assert lanes.loops == 2
    assert lanes.take(1) == ["fact"]
    assert lanes.take(0) == ["code"]
    put(lanes, FACTS, *("fact" for _ in range(BATCH_MAX)))
    assert len(lanes.take(1)) == BATCH_MAX, "no code waits for these, so they need not be few"


def test_an_erasure_is_a_batch_by_itself_and_what_comes_behind_it_waits() -> None:
    lanes, _ = filled()
    put(lanes, FACTS, "before")
    lanes.put(FACTS, "erase", alone=True)
    put(lanes, FACTS, "behind")
    assert [lanes.take(0) for _ in range(4)] == [["before"], ["erase"], ["behind"], []]


async def test_whoever_waits_for_a_line_hears_of_what_comes_into_it() -> None:
    lanes, _ = filled(apart=True)
    assert lanes.take(0) == lanes.take(1) == []
    otp, others = (asyncio.create_task(lanes.filled(line)) for line in (0, 1))
    put(lanes, OTP_LANE, "code")
    await otp
    assert not others.done()
    lanes.wake()
    await others


async def test_other_work_lets_a_code_pass_and_then_goes_on() -> None:
    priority = OtpPriority()
    await priority.give_way()
    with priority:
        waiting = asyncio.create_task(priority.give_way())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
    budget = YieldBudget()
    with priority:
        await priority.give_way(budget)  # a code that takes long keeps nobody for ever
        assert budget.seconds == 0
        await priority.give_way(budget)
    with priority:
        await priority.give_way(YieldBudget(0.0))  # a batch of codes waits for no code


async def test_commands_wait_in_the_lane_of_what_they_are_about() -> None:
    async with World(CODE, PROMO) as world:
        person = [{"id": "olena"}]

        def publish(type: str) -> Publish:
            return Publish(event("1", {}, type, None, person))

        lanes = [
            lane_of(command, world.rules)
            for command in (
                publish("shop.code"),
                ApplyFact("m", Due(0), urgent=True),
                ApplyFact("m", Due(0)),
                OptOut("olena"),
                Cancel("m"),
                publish("shop.promo"),
                publish("shop.unknown"),
            )
        ]
        assert lanes[:2] == [OTP_LANE, OTP_LANE]
        assert lanes[2:5] == [FACTS] * 3
        assert lanes[5:] == [event_lane(["transactional"]), event_lane(["service"])]


async def test_a_code_is_decided_before_everything_that_was_waiting_already() -> None:
    async with World(CODE, PROMO) as world:
        order: list[str] = []
        world.runtime.edges.observe = lambda decided, errors: order.extend(
            one.decision.message.policy for one in decided
        )
        others = [
            asyncio.ensure_future(world.publish(f"p-{number}", type="shop.promo"))
            for number in range(600)
        ]
        code = asyncio.ensure_future(world.publish("c", type="shop.code"))
        await asyncio.gather(code, *others)
        beside = (
            BATCH_MAX if world.store.shared else 0
        )  # one other batch may be in hand at the same time
        assert order.index("code") <= beside
        assert len(order) == 601


async def test_codes_and_facts_are_taken_where_other_events_are_refused() -> None:
    async with World(CODE, PROMO) as world:
        (id,) = (await world.publish("first", type="shop.promo")).messages
        lanes = world.engine._lanes
        flood = [Cancel("nobody")] * WAITING_MAX
        answers = [world.engine.submit(command) for command in flood]
        with pytest.raises(Busy):
            await world.publish("late", type="shop.promo")
        assert len(lanes) == WAITING_MAX
        code = asyncio.ensure_future(world.publish("code", type="shop.code"))
        applied = world.engine.submit(ApplyFact(id, Due(0)))
        assert (await code).status == "accepted"
        assert (await applied).decision.message.id == id
        await asyncio.gather(*answers, return_exceptions=True)
