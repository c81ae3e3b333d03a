"""A message that ended without a send is started again once, and only if nobody can have got it."""

from __future__ import annotations

import asyncio
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.facts import Unpreparable
from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import Dedupe, Goal, Policy, Step
from orchestrator.core.policy import Retry as RetryRule
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    Erase,
    NotRetryable,
    Restarted,
    RetryMessage,
    UnknownMessage,
)
from orchestrator.history.replay import replay
from tests.engine.world import START, World

HOUR = 3_600_000
POLICY = Policy(
    "cart",
    "v1",
    "shop.event",
    (Step("sms", retry=RetryRule(0, 0)),),
    goal=Goal("shop.paid"),
    dedupe=Dedupe("event.cart", 24 * HOUR),
    deadline_ms=2 * HOUR,
)


async def suppressed(world: World, event: str = "1", **data: Any) -> str:
    """A message whose template was broken."""
    (id,) = (await world.publish(event, data)).messages
    await world.engine.submit(ApplyFact(id, Unpreparable(0, Reason.TEMPLATE_ERROR, "broken")))
    assert (await world.message(id)).status is Status.SUPPRESSED
    return id


async def retry(world: World, id: str, **more: Any) -> Restarted:
    answer: Restarted = await world.engine.submit(RetryMessage(id, **more))
    return answer


async def retried(world: World, id: str, **more: Any) -> Message:
    """The message that a retry has started."""
    answer = await retry(world, id, **more)
    assert answer.status == "started" and answer.message is not None
    return await world.message(answer.message)


def now_with(world: World, policy: Policy) -> None:
    """Another version of the policy is in force."""
    world.engine.rules = changed(world.rules, policies={policy.name: policy})


async def test_a_retry_starts_under_today_s_version_and_both_messages_name_the_other() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world, cart=7)
        world.at(600)
        now_with(world, replace(POLICY, version="v2", topic="carts"))
        second = await retried(world, first)
        assert (second.policy_version, second.topic, second.status) == (
            "v2",
            "carts",
            Status.ACCEPTED,
        )
        assert second.ready() and second.deadline_at == world.now + 2 * HOUR
        assert (second.retry_of, second.recipient, second.event_id) == (first, "olena", "1")
        old = await world.message(first)
        assert (old.retried_as, old.status, old.reason) == (
            second.id,
            Status.SUPPRESSED,
            Reason.TEMPLATE_ERROR,
        )
        stored = await world.stored(second.id)
        assert stored.event["data"] == {"cart": 7}
        for id, policy in ((first, POLICY), (second.id, world.engine.rules.policies["cart"])):
            stored = await world.stored(id)
            again = replay(policy, stored.message, stored.history, lambda _: world.rules.governance)
            assert again == stored.message


async def test_it_is_started_once_however_often_and_by_however_many_it_is_asked() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world)
        answers = await asyncio.gather(*(retry(world, first) for _ in range(20)))
        assert sorted(one.status for one in answers) == ["already_retried"] * 19 + ["started"]
        assert len({one.message for one in answers}) == 1
        assert len(await world.store.messages()) == 2


async def test_a_crash_between_two_retries_changes_nothing(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        first = await suppressed(world)
        made = (await retried(world, first)).id
        await world.store.close()  # the engine is not asked, as by a kill
        await world.open(join=False)
        assert await retry(world, first) == Restarted("already_retried", made)


async def test_the_retry_of_a_retry_is_one_more_message() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world, cart=7)
        second = (await retried(world, first)).id
        await world.engine.submit(ApplyFact(second, Unpreparable(0, Reason.TEMPLATE_ERROR, "x")))
        third = await retried(world, second)
        assert third.retry_of == second
        assert await retry(world, first) == Restarted("already_retried", second)


async def test_a_dry_run_starts_nothing() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world)
        assert await retry(world, first, dry_run=True) == Restarted("would_start", None)
        assert [row.message.id for row in await world.store.messages()] == [first]
        assert (await world.message(first)).retried_as is None


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Refused(Reason.REFUSED_CONTENT, "400"), None),
        (NotSent(Reason.CONNECT_FAILED), None),
        (Unknown(Reason.TIMED_OUT), "may_have_been_sent"),
        (Accepted("a"), "not_retryable"),
    ],
)
async def test_only_what_nobody_can_have_got_is_retried(outcome: Outcome, code: str | None) -> None:
    async with World(POLICY) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, outcome)
        world.at(3 * 3600)
        await world.fire()
        assert (await world.message(id)).terminal
        await answered(world, id, code)


async def answered(world: World, id: str, code: str | None, **more: Any) -> None:
    """A retry answers so: with the code of its refusal, or None if it starts."""
    if code is None:
        await retried(world, id, **more)
        return
    with pytest.raises(NotRetryable) as refusal:
        await retry(world, id, **more)
    assert refusal.value.code == code
    assert (await world.message(id)).retried_as is None


async def test_what_has_not_ended_or_was_cancelled_or_is_unknown_is_not_retried() -> None:
    async with World(POLICY) as world:
        (id,) = (await world.publish()).messages
        await answered(world, id, "not_ended")
        await world.engine.submit(Cancel(id))
        await answered(world, id, "not_retryable")
        with pytest.raises(UnknownMessage):
            await retry(world, "01KNOBODY")


async def test_an_erased_person_is_left_alone() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world)
        await world.engine.submit(Erase("olena"))
        await answered(world, first, "erased")


@pytest.mark.parametrize(
    ("today", "code"),
    [
        (replace(POLICY, name="other"), "unknown_policy"),
        (replace(POLICY, event="shop.else"), "not_wanted"),
        (replace(POLICY, when="event.total > 5"), "not_wanted"),
        (replace(POLICY, when="event.total > 1"), None),
    ],
)
async def test_today_s_policy_must_want_it(today: Policy, code: str | None) -> None:
    async with World(POLICY) as world:
        first = await suppressed(world, total=3)
        world.engine.rules = changed(
            world.rules, policies={today.name: replace(today, version="v2")}
        )
        world.rules = changed(world.rules, policies={"cart": POLICY, **world.engine.rules.policies})
        await answered(world, first, code)


async def test_a_retry_keeps_its_deadline_or_gets_another_one() -> None:
    async with World(POLICY) as world:
        first, second, third = [await suppressed(world, str(n), cart=n) for n in range(3)]
        world.at(3600)
        assert (await retried(world, first, same_deadline=True)).deadline_at == START + 2 * HOUR
        assert (await retried(world, second, deadline_ms=60_000)).deadline_at == world.now + 60_000
        world.at(2 * 3600)
        await answered(world, third, "deadline_passed", same_deadline=True)
        assert (await retried(world, third)).deadline_at == START + 4 * HOUR


async def test_what_has_become_pointless_meanwhile_ends_at_once() -> None:
    async with World(POLICY) as world:
        bought = await suppressed(world, "1", cart=1)
        await world.publish("paid", type="shop.paid")
        after = await retried(world, bought)
        assert (after.status, after.reason) == (Status.CANCELLED, Reason.GOAL_MET)


async def test_a_successor_with_the_same_key_that_was_sent_makes_it_a_duplicate() -> None:
    async with World(POLICY) as world:
        first = await suppressed(world, "1", cart=1)
        (other,) = (await world.publish("2", {"cart": 1})).messages
        await world.send(other)
        after = await retried(world, first)
        assert (after.status, after.reason, after.reason_detail) == (
            Status.SUPPRESSED,
            Reason.DEDUPLICATED,
            other,
        )
