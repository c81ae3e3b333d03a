"""Experiments: arms that people keep, people who are held out, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.configuration.policy_file import policy_from_document, policy_to_document
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.message import Status
from orchestrator.core.policy import Arm, Convert, Experiment, Goal, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.experiments import drawn_arm, thompson_draws
from orchestrator.history.replay import replay
from tests.engine.world import START, World, address_hash

DAY_SECONDS = 86_400
TONE = Experiment(
    "tone",
    (
        Arm("control", 45),
        Arm("warm", 45, template="warm", cascade=(Step("email"),)),
        Arm("holdout", 10, hold_out=True),
    ),
)
SMS = (Step("sms", wait=(("delivered", 600_000),)),)
CART = Policy(
    "cart", "v1", "shop.cart", SMS, template="cart",
    goal=Goal("shop.order", "goal.cart == event.cart"), experiment=TONE,
)  # fmt: skip
CLICKS = Policy(
    "clicks", "v1", "shop.news", SMS,
    experiment=Experiment("news", (Arm("a", 1), Arm("b", 1)), "clicked", allocate="thompson"),
)  # fmt: skip
AFTER = Policy("after", "v1", "shop.visit", SMS, convert=Convert("shop.order", within_ms=3_600_000))


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(CART, CLICKS, AFTER, path=tmp_path / "k.db", url=store_url) as made:
        yield made


def arm(person: str, experiment: Experiment = TONE) -> str:
    return drawn_arm(experiment, experiment.arms, person, address_hash).name


def somebody(wanted: str, experiment: Experiment = TONE) -> str:
    return next(id for n in range(1000) if arm(id := f"u{n}", experiment) == wanted)


def test_arms_have_the_shares_of_their_weights_and_a_change_moves_few() -> None:
    people = [f"user-{n}" for n in range(20_000)]
    before = {one: arm(one) for one in people}
    shares = Counter(before.values())
    assert {name: round(count / 200) for name, count in shares.items()} == {
        "control": 45, "warm": 45, "holdout": 10,
    }  # fmt: skip
    grown = replace(TONE, arms=(replace(TONE.arms[0], weight=55), *TONE.arms[1:]))
    moved = [one for one in people if arm(one, grown) != before[one]]
    assert {arm(one, grown) for one in moved} == {"control"}, "only to what has grown"
    assert 0.03 < len(moved) / len(people) < 0.06, "from 45 % to 50 %"
    other = replace(TONE, name="other")
    assert 0.3 < sum(arm(one, other) == before[one] for one in people) / len(people) < 0.5


def test_an_arm_is_the_same_policy_with_its_changes_and_survives_the_store() -> None:
    again = policy_from_document(policy_to_document(CART))
    assert again == CART
    warm = again.variant("warm")
    assert (warm.cascade, warm.template, warm.held_out) == ((Step("email"),), "warm", False)
    assert again.variant("holdout").held_out
    assert again.variant("") is again
    assert again.variant("gone") is again
    waits = Arm("quick", 1, waits={"sms": (("delivered", 1_000),)})
    quick = replace(CART, experiment=replace(TONE, arms=(waits,))).variant("quick")
    assert quick.cascade[0].wait == (("delivered", 1_000),)


async def test_each_arm_sends_its_own_way_and_held_out_people_get_nothing(world: World) -> None:
    for name, channel in (("control", "sms"), ("warm", "email"), ("holdout", None)):
        (id,) = (
            await world.publish(name, {"cart": 1}, type="shop.cart", id=somebody(name))
        ).messages
        message = await world.message(id)
        assert message.arm == name
        if channel is not None:
            assert [run.channel for run in message.runs] == [channel]
            await world.send(id)
        else:
            assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.HELD_OUT)
        stored = await world.stored(id)
        again = replay(CART, stored.message, stored.history, lambda _: world.rules.governance)
        assert again == stored.message
    assert await world.store.exposures() == {
        ("tone", name): [1, 0] for name in ("control", "warm", "holdout")
    }


async def test_a_person_counts_once_and_a_goal_counts_for_held_out_people_too(
    world: World,
) -> None:
    for name in ("control", "holdout"):
        who = somebody(name)
        for n in range(3):
            await world.publish(f"{name}{n}", {"cart": n}, type="shop.cart", id=who)
        await world.publish(f"{name}x", {"cart": 99}, type="shop.order", id=who)
        assert (await world.store.exposures())["tone", name] == [1, 0], "of another cart"
        for n in range(3):
            await world.publish(f"{name}o{n}", {"cart": n}, type="shop.order", id=who)
        assert (await world.store.exposures())["tone", name] == [1, 1]


async def test_a_goal_after_its_time_does_not_count(world: World) -> None:
    who = somebody("control")
    await world.publish("1", {"cart": 1}, type="shop.cart", id=who)
    world.at(3 * DAY_SECONDS + 1)
    await world.publish("2", {"cart": 1}, type="shop.order", id=who)
    assert (await world.store.exposures())["tone", "control"] == [1, 0]


async def test_a_late_event_counts_by_its_own_time(world: World) -> None:
    who = somebody("control")
    await world.publish("1", {"cart": 1}, type="shop.cart", id=who)
    world.at(3 * DAY_SECONDS + 3_600)
    at = START + 2 * DAY_SECONDS * 1000
    await world.publish("2", {"cart": 1}, type="shop.order", id=who, time=at)
    assert (await world.store.exposures())["tone", "control"] == [1, 1]


@pytest.mark.parametrize("written_to_meanwhile", [False, True])
async def test_how_late_an_event_may_come_is_the_same_for_everybody(
    world: World, written_to_meanwhile: bool
) -> None:
    """Who was written to meanwhile has fewer notes of what is waited for."""
    who = somebody("control")
    await world.publish("1", {"cart": 1}, type="shop.cart", id=who)
    world.at(4 * DAY_SECONDS + 1)
    if written_to_meanwhile:
        (id,) = (await world.publish("2", type="shop.visit", id=who)).messages
        await world.send(id)
    at = START + 2 * DAY_SECONDS * 1000
    await world.publish("3", {"cart": 1}, type="shop.order", id=who, time=at)
    assert (await world.store.exposures())["tone", "control"] == [1, 0]


async def test_a_click_counts_once_and_thompson_keeps_the_arm_of_a_person(world: World) -> None:
    arms = []
    for n in range(3):
        (id,) = (await world.publish(str(n), type="shop.news")).messages
        await world.send(id)
        for _ in range(2):
            await world.engine.submit(ApplyFact(id, ReceiptReceived(0, "clicked", world.now)))
        arms.append((await world.message(id)).arm)
        first = (await world.stored(id)).history[0]["inputs"].get("draws")
        assert bool(first) == (n == 0), "drawn once, and written down"
    assert len(set(arms)) == 1
    assert await world.store.exposures() == {("news", arms[0]): [1, 1]}


def test_thompson_prefers_what_has_worked_and_still_tries_the_other() -> None:
    arms = (Arm("a", 1), Arm("b", 1))
    counts = {("x", "a"): [200, 40], ("x", "b"): [200, 20]}
    chosen = Counter(
        max(draws, key=lambda name: draws[name])
        for n in range(2_000)
        for draws in [thompson_draws("x", arms, counts, f"seed {n}")]
    )
    assert chosen["a"] > 1_900
    assert chosen["b"] > 0


async def test_what_counts_as_converted_is_noted_once_after_a_success(world: World) -> None:
    async def order(n: int, minutes: int) -> None:
        world.at(minutes * 60)
        await world.publish(f"o{n}", type="shop.order")

    (id,) = (await world.publish("1", type="shop.visit")).messages
    await world.send(id)
    await order(1, 1)
    assert (await world.message(id)).converted_at is None, "nothing has reached them yet"
    world.at(120)
    await world.engine.submit(ApplyFact(id, ReceiptReceived(0, "delivered", world.now)))
    assert (await world.message(id)).status is Status.SUCCEEDED
    await order(2, 30)
    at = (await world.message(id)).converted_at
    assert at == START + 30 * 60_000
    await order(3, 40)
    stored = await world.stored(id)
    assert stored.message.converted_at == at
    assert [line["fact"]["kind"] for line in stored.history].count("Converted") == 1
    assert replay(AFTER, stored.message, stored.history, lambda _: world.rules.governance) == (
        stored.message
    )
