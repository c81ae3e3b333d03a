"""Messages that start later than their event: `kaskadnotbefore`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.core.message import Status
from orchestrator.core.policy import HOUR_MS, MINUTE_MS, Cap, Dedupe, Goal, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import Cancel, Erase, OptOut, Publish, Published, PutRecipient
from orchestrator.events.cloudevents import parse_structured
from orchestrator.primitives.durations import rfc3339
from tests.engine.world import START, World
from tests.explain.tales import explain

SMS = Policy("text", "v1", "shop.event", (Step("sms"),), also=(Step("in_app"),))
CODE = Policy(
    "code", "v1", "shop.event", (Step("sms"),), message_class="otp", deadline_ms=10 * MINUTE_MS
)
OLENA = {"id": "olena", "phone": "+380501234567"}


async def publish(
    world: World, event: str = "1", hours: float = 2, type: str = "shop.event", **recipient: Any
) -> Published:
    body = {
        "specversion": "1.0",
        "id": event,
        "source": "shop",
        "type": type,
        "time": rfc3339(START),
        "kaskadnotbefore": rfc3339(START + int(hours * HOUR_MS)),
        "data": {"cart": "7", "recipient": {**OLENA, **recipient}},
    }
    published: Published = await world.engine.submit(
        Publish(parse_structured(json.dumps(body).encode()))
    )
    return published


async def test_nothing_is_asked_and_nothing_leaves_before_its_time() -> None:
    async with World(SMS) as world:
        (id,) = (await publish(world)).messages
        message = await world.message(id)
        assert (message.status, message.runs) == (Status.ACCEPTED, [])
        assert message.due_at == message.not_before == START + 2 * HOUR_MS
        assert message.deadline_at == START + 2 * HOUR_MS + SMS.deadline_ms
        world.at(7_199)
        assert await world.fire() == 0
        world.at(7_200)
        assert await world.fire() == 1
        assert [run.channel for run in (await world.message(id)).ready()] == ["in_app", "sms"]
        await world.send(id)
        await world.send(id)
        assert (await world.message(id)).status is Status.SUCCEEDED


async def test_it_starts_after_a_restart_also_where_its_time_passed_meanwhile(
    tmp_path: Path,
) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        (id,) = (await publish(world)).messages
        await world.close()
        world.at(8_000)
        await world.open()
        assert await world.fire() == 1
        assert len((await world.message(id)).ready()) == 2
        assert (await publish(world)).status == "duplicate"


async def test_the_deadline_of_a_code_counts_from_its_start() -> None:
    async with World(CODE) as world:
        (in_time,) = (await publish(world)).messages
        (late,) = (await publish(world, "2", 1, id="petro", phone="+380671234567")).messages
        world.at(7_200 + 599)
        await world.fire()
        assert (await world.message(in_time)).ready()
        ended = await world.message(late)
        assert (ended.status, ended.reason) == (Status.EXPIRED, Reason.DEADLINE_PASSED)
        assert ended.attempts == []


async def test_the_gates_see_the_world_as_it_is_at_the_start() -> None:
    async with World(SMS) as world:
        (silenced,) = (await publish(world)).messages
        (unknown,) = (await publish(world, "2", id="petro", phone=None)).messages
        await world.engine.submit(OptOut(recipient="olena", channel="sms", topic="*"))
        await world.engine.submit(PutRecipient("petro", {"id": "petro", "phone": "+380671234567"}))
        world.at(7_200)
        await world.fire()
        ended = await world.message(silenced)
        assert (ended.status, ended.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        assert [run.channel for run in (await world.message(unknown)).ready()] == ["in_app", "sms"]


async def test_a_cap_counts_it_when_it_leaves() -> None:
    cap = Cap("one", 1, window_ms=HOUR_MS)
    policy = Policy("text", "v1", "shop.event", (Step("sms"),))
    async with World(policy, governance=Governance("g1", caps=(cap,))) as world:
        (later,) = (await publish(world)).messages
        (now,) = (await publish(world, "2", hours=0)).messages
        await world.send(now)
        assert (await world.message(now)).status is Status.SUCCEEDED
        world.at(7_200)
        await world.fire()
        await world.send(later)
        (third,) = (await publish(world, "3", hours=0)).messages
        assert (await world.message(third)).runs[0].held_for is Reason.FREQUENCY_CAP


async def test_its_goal_ends_it_before_it_starts() -> None:
    goal = Policy(
        "cart", "v1", "shop.event", (Step("sms"),), goal=Goal("order", "goal.cart == event.cart")
    )
    async with World(goal) as world:
        (met,) = (await publish(world)).messages
        assert (await publish(world, "g", type="order")).status == "goal"
        assert (await world.message(met)).reason is Reason.GOAL_MET


async def test_a_cancel_and_an_erasure_end_it_before_it_starts() -> None:
    async with World(SMS) as world:
        (cancelled,) = (await publish(world, "2")).messages
        (erased,) = (await publish(world, "3")).messages
        await world.engine.submit(Cancel(cancelled))
        await world.engine.submit(Erase("olena"))
        world.at(7_200)
        await world.fire()
        for id, reason in ((cancelled, Reason.CANCELLED), (erased, Reason.ERASED)):
            message = await world.message(id)
            assert (message.status, message.reason) == (Status.CANCELLED, reason)
            assert message.attempts == []


async def test_its_dedupe_key_is_taken_from_its_acceptance_on() -> None:
    policy = Policy(
        "cart", "v1", "shop.event", (Step("sms"),), dedupe=Dedupe("event.cart", 24 * HOUR_MS)
    )
    async with World(policy) as world:
        await publish(world)
        (second,) = (await publish(world, "2", hours=0)).messages
        assert (await world.message(second)).reason is Reason.DEDUPLICATED


async def test_a_start_in_the_past_is_now_and_the_deadline_counts_from_it() -> None:
    async with World(SMS) as world:
        world.at(10_800)
        (id,) = (await publish(world)).messages
        message = await world.message(id)
        assert (message.not_before, len(message.ready())) == (None, 2)
        assert message.deadline_at == START + 2 * HOUR_MS + SMS.deadline_ms


async def test_the_explanation_says_what_it_waits_for() -> None:
    async with World(SMS) as world:
        (id,) = (await publish(world)).messages
        said = await explain(world, id)
        (wait,) = said["waiting"]["for"]
        assert wait["state"] == "scheduled" and wait["words"].startswith("It starts at ")
        assert said["message"]["sentence"] == "Waits for its start, nothing sent yet."
        assert said["message"]["starts_at"] == rfc3339(START + 2 * HOUR_MS)
        world.at(7_200)
        await world.fire()
        await world.send(id)
        after = await explain(world, id)
        assert after["replay"]["same"] is True
        assert "scheduled: starts at 20" in after["message"]["trace"][0]["decision"][0]
