"""
What happens inside starts and ends messages in the transaction in which it happens: exactly once,
and never without end.
"""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import orjson
import pytest

from orchestrator.channels import Inbound, Receipt
from orchestrator.core.facts import Unpreparable
from orchestrator.core.hops import CHAIN_MAX, HOPS_MAX
from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import Refused
from orchestrator.core.policy import Dedupe, Goal, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.core.values import replace
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    Command,
    Erase,
    OptOut,
    PutConsents,
    PutRecipient,
    RecordInbound,
    RecordReceipt,
    RetryMessage,
)
from orchestrator.history.replay import replay as replayed
from orchestrator.stores.port import StoreAway
from orchestrator.stores.rows import Changes, Wanted
from tests.engine.world import World

HOUR = 3_600_000
ORDER = Policy("order", "v1", "shop.event", (Step("viber"),), deadline_ms=2 * HOUR)
WAITS = Policy(
    "order", "v1", "shop.event", (Step("viber", wait=(("clicked", HOUR),)),), deadline_ms=2 * HOUR
)


def after(what: str, name: str = "after", **more: Any) -> Policy:
    """A policy that an inside event of the order's messages triggers."""
    given = {"when": "event.policy == 'order'", "deadline_ms": HOUR, **more}
    return Policy(name, "v1", f"kaskad.{what}", (Step("email"),), **given)


async def all_of(world: World, policy: str) -> list[Message]:
    """The messages of a policy, the oldest first."""
    stored = await world.store.messages(policy=policy, limit=1000)
    return sorted((one.message for one in stored), key=lambda one: one.id)


async def fail(world: World, id: str) -> None:
    """The only step of a message cannot be rendered."""
    await world.engine.submit(ApplyFact(id, Unpreparable(0, Reason.TEMPLATE_ERROR, "broken")))


async def test_the_end_of_a_message_starts_another_of_the_same_person_at_once() -> None:
    policy = after("message.exhausted")
    async with World(ORDER, policy) as world:
        (id,) = (await world.publish()).messages
        assert await all_of(world, "after") == []
        world.at(60)
        await world.send(id, Refused(Reason.REFUSED_RECIPIENT))
        (made,) = await all_of(world, "after")
        assert (made.recipient, made.caused_by, made.hops) == ("olena", id, 1)
        assert (made.event_source, made.event_id) == ("kaskad", f"{id}/message.exhausted")
        assert (made.created_at, made.deadline_at) == (world.now, world.now + HOUR)
        stored = await world.stored(made.id)
        ce, data = stored.event["ce"], stored.event["data"]
        assert (ce["type"], ce["subject"]) == ("kaskad.message.exhausted", id)
        assert (data["id"], data["policy"], data["status"]) == (id, "order", "exhausted")
        assert data["event"] == {"source": "shop", "id": "1", "type": "shop.event"}
        await world.send(made.id)
        stored = await world.stored(made.id)
        assert stored.message.status is Status.SUCCEEDED
        again = replayed(policy, stored.message, stored.history, lambda version: Governance())
        assert again == stored.message


async def test_the_condition_of_the_trigger_reads_what_the_status_event_carries() -> None:
    never = after("message.suppressed", "never", when="event.status == 'exhausted'")
    of = after(
        "message.suppressed", when="event.reason == 'template_error' and event.attempts == []"
    )
    async with World(ORDER, never, of) as world:
        (id,) = (await world.publish()).messages
        await fail(world, id)
        assert await all_of(world, "never") == []
        assert [one.caused_by for one in await all_of(world, "after")] == [id]


async def test_what_becomes_of_an_attempt_starts_one_message_however_often_it_is_reported() -> None:
    async with World(
        WAITS, after("attempt.delivered"), after("attempt.clicked", "bought")
    ) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        reported: list[Command] = [
            RecordReceipt("viber_a", Receipt(state=state), id, 0)
            for state in (Delivery.DELIVERED, Delivery.SENT, Delivery.DELIVERED, Engagement.CLICKED)
        ]
        await world.engine.submit_many([*reported, *reported])
        await world.engine.submit_many(reported)
        (delivered,), (clicked,) = await all_of(world, "after"), await all_of(world, "bought")
        assert delivered.event_id == f"{id}/0/attempt.delivered"
        assert (await world.stored(clicked.id)).event["data"]["attempt"] == 0
        assert (await world.message(id)).status is Status.SUCCEEDED


async def test_a_batch_that_was_committed_after_all_starts_nothing_twice() -> None:
    async with World(ORDER, after("message.suppressed")) as world:
        (id,) = (await world.publish()).messages
        commits = lie_once(world)
        await fail(world, id)
        assert commits == ["lied", "reported"]
        assert len(await all_of(world, "after")) == 1


def lie_once(world: World) -> list[str]:
    """The next commit happens, and says that it did not."""
    said: list[str] = []
    unit = world.open_store.unit

    def lying() -> Any:
        context = unit()
        enter = context.__aenter__

        async def entered() -> Any:
            found = await enter()
            commit = type(found).commit

            async def once(changes: Changes) -> None:
                await commit(found, changes)
                said.append("lied" if not said else "reported")
                if said == ["lied"]:
                    raise StoreAway("the answer was lost")

            return Lying(found, once)

        return Entering(entered, context)

    world.open_store.unit = lying
    return said


class Lying:
    def __init__(self, unit: Any, commit: Any) -> None:
        self._unit, self.commit = unit, commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)


class Entering:
    def __init__(self, enter: Any, context: Any) -> None:
        self._enter, self._context = enter, context

    async def __aenter__(self) -> Any:
        return await self._enter()

    async def __aexit__(self, *error: Any) -> Any:
        return await self._context.__aexit__(*error)


async def test_a_success_that_a_failure_corrects_starts_nothing_once_more() -> None:
    async with World(ORDER, after("message.succeeded")) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        await world.engine.submit(RecordReceipt("viber_a", Receipt(state=Delivery.FAILED), id, 0))
        assert (await world.message(id)).flags == ["undelivered"]
        assert len(await all_of(world, "after")) == 1


async def test_a_message_s_own_end_may_be_the_goal_of_another() -> None:
    goal = Goal("kaskad.attempt.clicked", "goal.policy == 'order' and event.cart == 7")
    reminder = Policy("reminder", "v1", "shop.reminder", (Step("email"),), goal=goal)
    other = Policy("news", "v1", "shop.reminder", (Step("email"),))
    async with World(WAITS, reminder, other, after("message.cancelled", when=None)) as world:
        (id,) = (await world.publish()).messages
        started = (await world.publish("2", {"cart": 7}, type="shop.reminder")).messages
        (spared,) = (
            await world.publish("3", {"cart": 7}, type="shop.reminder", id="petro")
        ).messages[:1]
        await world.send(id)
        assert not (await world.message(started[0])).terminal
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Engagement.CLICKED), id, 0)
        )
        ended = await world.message(started[0])
        assert (ended.status, ended.reason) == (Status.CANCELLED, Reason.GOAL_MET)
        assert ended.reason_detail == f"kaskad {id}/0/attempt.clicked"
        assert not (await world.message(started[1])).terminal
        assert not (await world.message(spared)).terminal
        (made,) = await all_of(world, "after")
        assert (made.caused_by, made.hops) == (ended.id, 1), "that it was ended is an event, too"


async def test_a_message_is_never_ended_by_what_it_does_itself() -> None:
    own = replace(ORDER, goal=Goal("kaskad.message.accepted"))
    async with World(own) as world:
        (first,) = (await world.publish("1")).messages
        assert not (await world.message(first)).terminal
        (second,) = (await world.publish("2")).messages
        assert (await world.message(first)).reason is Reason.GOAL_MET
        assert not (await world.message(second)).terminal


async def test_a_dedupe_key_of_what_happened_inside_is_looked_up_in_time() -> None:
    dedupe = Dedupe("event.event.type", HOUR)
    async with World(ORDER, after("message.suppressed", dedupe=dedupe)) as world:
        for event in ("1", "2", "3"):
            (id,) = (await world.publish(event)).messages
            await fail(world, id)
        found = await all_of(world, "after")
        assert [one.reason for one in found] == [None, *[Reason.DEDUPLICATED] * 2]
        await world.engine.submit_many([Cancel(one.id) for one in found])
        ids = [(await world.publish(event)).messages[0] for event in ("4", "5")]
        await world.engine.submit_many(
            [ApplyFact(id, Unpreparable(0, Reason.TEMPLATE_ERROR, "broken")) for id in ids]
        )
        last = (await all_of(world, "after"))[3:]
        assert [one.reason for one in last] == [None, Reason.DEDUPLICATED], "in one batch, too"


async def test_an_otp_may_follow() -> None:
    code = Policy(
        "code", "v1", "kaskad.opt_out", (Step("sms"),), message_class="otp", deadline_ms=60_000
    )
    async with World(ORDER, code, after("message.accepted", "sms", when=None)) as world:
        (id,) = (await world.publish()).messages
        for number in range(7):
            world.now += 1000
            await world.engine.submit(
                PutRecipient(
                    "olena", {"consents": [consent(f"topic{number}")], "phone": "+380501234567"}
                )
            )
        (*_, first) = await all_of(world, "code")
        await world.send((await all_of(world, "code"))[0].id)
        assert first.message_class == "otp" and id


def consent(topic: str) -> dict[str, Any]:
    return {"channel": "viber", "topic": topic, "state": "out"}


@pytest.mark.parametrize("way", ["stop", "api", "consents", "profile", "event", "refusal"])
async def test_every_way_of_opting_out_happens_once(way: str) -> None:
    policy = Policy("bye", "v1", "kaskad.opt_out", (Step("email"),), when="event.topic == '*'")
    async with World(ORDER, policy, emits_statuses=True) as world:
        (id,) = (await world.publish()).messages
        refused = Refused(Reason.REFUSED_OPTED_OUT)
        await world.send(id, refused if way == "refusal" else None)
        out = {"channel": "viber", "state": "out"}
        stop = Inbound(kind="phone", value="+380501234567", text="STOP")
        commands: dict[str, Command] = {
            "stop": RecordInbound("viber_a", "viber", stop),
            "api": OptOut(recipient="olena", channel="viber"),
            "consents": PutConsents("olena", [out]),
            "profile": PutRecipient("olena", {"consents": [out]}),
        }
        for number in range(2):
            world.now += 120_000
            if way == "event":
                await world.publish(f"e{number}", consents=[out])
            elif way != "refusal":
                await world.engine.submit(commands[way])
        (made,) = await all_of(world, "bye")
        data = (await world.stored(made.id)).event["data"]
        assert (data["recipient"], data["channel"], data["topic"]) == ("olena", "viber", "*")
        known = way in ("stop", "refusal")
        assert (data["message"], data["policy"]) == ((id, "order") if known else (None, None))
        assert made.caused_by == (id if known else None) and made.hops == 1
        bodies = [orjson.loads(one.body) for one in await world.store.outbox("statuses", 100)]
        (reported,) = [one for one in bodies if one["type"] == "kaskad.opt_out"]
        assert reported["data"] == data and reported["subject"] == "olena"


async def test_nothing_follows_from_the_messages_of_an_erased_person() -> None:
    async with World(WAITS, after("message.cancelled"), after("attempt.clicked", "late")) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        (other,) = (await world.publish("2")).messages
        await world.engine.submit(Erase("olena"))
        assert (await world.message(other)).reason is Reason.ERASED
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Engagement.CLICKED), id, 0)
        )
        assert await all_of(world, "after") == await all_of(world, "late") == []
        assert (await world.store.load(Wanted(recipients={"olena"}))).recipients == {}


async def test_a_chain_ends_after_so_many_hops_and_says_so() -> None:
    ping = after("message.suppressed", "ping", when="event.policy in ('order', 'pong')")
    pong = after("message.suppressed", "pong", when="event.policy == 'ping'")
    async with World(ORDER, ping, pong) as world:
        (id,) = (await world.publish()).messages
        await fail(world, id)
        chain = [id]
        for hop in range(1, HOPS_MAX + 2):
            found = await all_of(world, "ping") + await all_of(world, "pong")
            (made,) = [one for one in found if one.caused_by == chain[-1]]
            assert made.hops == hop
            chain.append(made.id)
            if hop <= HOPS_MAX:
                assert not made.terminal
                await fail(world, made.id)
        last = await world.message(chain[-1])
        assert (last.status, last.reason) == (Status.SUPPRESSED, Reason.TOO_MANY_HOPS)
        assert len(await all_of(world, "ping")) + len(await all_of(world, "pong")) == HOPS_MAX + 1
        again = (await world.engine.submit(RetryMessage(last.id))).message
        assert (await world.message(again)).reason is Reason.TOO_MANY_HOPS, "nor by a retry"


async def test_policies_that_multiply_are_stopped_within_one_transaction() -> None:
    policies = [after("message.accepted", f"p{n}", when=None) for n in range(6)]
    async with World(ORDER, *policies) as world:
        await world.publish()
        found = [one for n in range(6) for one in await all_of(world, f"p{n}")]
        going = [one for one in found if one.reason is not Reason.TOO_MANY_HOPS]
        assert len(going) == CHAIN_MAX
        assert len(found) <= CHAIN_MAX * (len(policies) + 1)


async def test_a_circle_that_doubles_is_stopped_however_many_transactions_it_takes() -> None:
    """Each message starts two, and its chain is counted over all of them."""
    policies = [after("message.suppressed", name, when=None) for name in ("left", "right")]
    async with World(ORDER, *policies) as world:
        (first,) = (await world.publish()).messages
        await fail(world, first)
        found: list[Message] = []
        for _ in range(HOPS_MAX):
            found = [one for name in ("left", "right") for one in await all_of(world, name)]
            for one in found:
                if not one.terminal:
                    await fail(world, one.id)
        cut = [one for one in found if one.reason is Reason.TOO_MANY_HOPS]
        assert len(found) - len(cut) == CHAIN_MAX and len(cut) <= 2 * CHAIN_MAX
        assert {one.chain for one in found} == {first}
        other = (await world.publish("2")).messages[0]
        await fail(world, other)
        after_other = [one for one in await all_of(world, "left") if one.chain == other]
        assert [one.terminal for one in after_other] == [False], "another event counts anew"
        stored, policy = await world.stored(cut[-1].id), world.rules.policies[cut[-1].policy]
        again = replayed(policy, stored.message, stored.history, lambda version: Governance())
        assert again == stored.message


async def test_an_event_that_only_looks_as_if_it_came_from_inside_matches_as_any_other() -> None:
    """The doors refuse it; policy tests use it."""
    async with World(after("message.exhausted")) as world:
        await world.publish("1", {"policy": "order"}, type="kaskad.message.exhausted")
        (made,) = await all_of(world, "after")
        assert made.hops == 0


async def test_without_a_policy_that_asks_for_it_nothing_is_looked_at() -> None:
    async with World(ORDER) as world:
        assert world.rules.inside == frozenset() and not world.rules.inside_goals
        some = changed(world.rules, policies={"after": after("attempt.read")})
        assert some.inside == {"attempt.read"}
