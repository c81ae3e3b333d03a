"""Events that nothing matched when they came, and events that only end something."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import values
from orchestrator.core.message import Status
from orchestrator.core.policy import Goal, Policy, Step
from tests.engine.world import World

SMS = Policy("text", "v1", "shop.event", (Step("sms"),))
PICKY = values.replace(SMS, when="recipient.vip")
CART = Policy(
    "cart", "v1", "shop.event", (Step("sms"),), goal=Goal("order", "goal.cart == event.cart")
)


def now_has(world: World, *policies: Policy) -> None:
    world.engine.rules = replace(world.rules, policies={one.name: one for one in policies})


async def test_an_event_whose_policy_was_away_is_taken_when_it_comes_again() -> None:
    async with World(SMS) as world:
        now_has(world)
        assert (await world.publish()).status == "unmatched"
        assert (await world.publish()).status == "duplicate"
        now_has(world, SMS)
        first = await world.publish()
        assert first.status == "accepted" and len(first.messages) == 1
        again = await world.publish()
        assert (again.status, again.messages) == ("duplicate", first.messages)


async def test_a_repeat_that_still_matches_nothing_changes_nobody() -> None:
    async with World(PICKY) as world:
        assert (await world.publish(first_name="old")).status == "unmatched"
        await world.publish("2", first_name="new")
        assert (await world.publish(first_name="old")).status == "duplicate"
        document = await world.store.recipient("olena")
        assert document is not None and document["first_name"] == "new"


async def test_a_repeat_is_taken_once_its_condition_has_come_true() -> None:
    async with World(PICKY) as world:
        assert (await world.publish()).status == "unmatched"
        await world.publish("2", type="other", vip=True)
        assert (await world.publish()).status == "accepted"
        assert (await world.publish()).status == "duplicate"


async def test_a_condition_knows_the_time_of_a_repeat_as_of_an_event() -> None:
    later = values.replace(SMS, when="now > '2000'")
    async with World(later) as world:
        now_has(world)
        assert (await world.publish()).status == "unmatched"
        now_has(world, later)
        assert (await world.publish()).status == "accepted"


async def test_a_goal_that_ended_messages_says_so_and_which() -> None:
    async with World(CART) as world:
        (id,) = (await world.publish("1", {"cart": 1})).messages
        (other,) = (await world.publish("2", {"cart": 2})).messages
        met = await world.publish("3", {"cart": 1}, type="order")
        assert (met.status, met.messages) == ("goal", (id,))
        assert (await world.message(id)).status is Status.CANCELLED
        assert not (await world.message(other)).terminal
        again = await world.publish("3", {"cart": 1}, type="order")
        assert (again.status, again.messages) == ("duplicate", (id,))
        assert (await world.publish("4", {"cart": 9}, type="order")).status == "unmatched"


async def test_a_repeated_goal_ends_nothing_that_began_after_it() -> None:
    async with World(CART) as world:
        assert (await world.publish("1", {"cart": 1}, type="order")).status == "unmatched"
        world.now += 60_000
        (id,) = (await world.publish("2", {"cart": 1})).messages
        assert (await world.publish("1", {"cart": 1}, type="order")).status == "duplicate"
        now_has(world, CART, values.replace(SMS, name="thanks", event="order"))
        assert (await world.publish("1", {"cart": 1}, type="order")).status == "accepted"
        assert not (await world.message(id)).terminal
