"""Hours of the recipient's day: `send_at`, and the order of what they answer most."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from zoneinfo import ZoneInfo

from orchestrator.channels import Delivery, Engagement, Receipt
from orchestrator.core.message import Status
from orchestrator.core.policy import (
    DAY_MS,
    HOUR_MS,
    Digest,
    Governance,
    Policy,
    QuietHours,
    SendAt,
    Step,
    Window,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import RecordReceipt
from orchestrator.history.replay import replay
from tests.engine.world import START, World
from tests.explain.tales import explain

KYIV = "Europe/Kyiv"
DAYTIME = Policy(
    "offer", "v1", "shop.event", (Step("sms"),), send_at=SendAt(between=Window(600, 1200))
)
BEST = replace(DAYTIME, send_at=SendAt(best_hour=True))
ENGAGED = Policy(
    "tidings",
    "v1",
    "shop.event",
    (Step("email", wait=(("read", HOUR_MS),)), Step("viber", wait=(("read", HOUR_MS),))),
    order="most_engaged",
)


def clock(at: int) -> str:
    """The hour and minute of an instant in Kyiv."""
    return datetime.fromtimestamp(at / 1000, ZoneInfo(KYIV)).strftime("%H:%M")


async def start_of(world: World, event: str, id: str = "olena") -> int:
    (id,) = (await world.publish(event, {}, time_zone=KYIV, id=id)).messages
    return (await world.message(id)).starts_at


async def answer(world: World, event: str, at: int) -> None:
    """Publish, send at once what waits, and have it read at an instant."""
    (id,) = (await world.publish(event, {}, time_zone=KYIV)).messages
    world.now = max(world.now, (await world.message(id)).starts_at)
    await world.fire()
    await world.send(id)
    world.now = max(world.now, at)
    message = await world.message(id)
    provider = message.attempts[0].provider
    receipt = Receipt(state=Engagement.READ, at=at / 1000)
    await world.engine.submit(RecordReceipt(provider, receipt, id, 0))


async def test_it_waits_for_the_hours_of_its_recipient() -> None:
    async with World(DAYTIME) as world:
        assert clock(START) == "13:06"
        assert await start_of(world, "now") == START, "it is one of them"
        world.now = START + 8 * HOUR_MS
        (id,) = (await world.publish("evening", {}, time_zone=KYIV)).messages
        message = await world.message(id)
        assert clock(message.starts_at) == "10:00"
        assert (message.status, message.runs) == (Status.ACCEPTED, [])
        text = json.dumps(await explain(world, id))
        assert "within their hours" in text and "`send_at` says so" in text
        world.now = message.starts_at
        await world.fire()
        stored = await world.stored(id)
        assert [run.channel for run in stored.message.ready()] == ["sms"]
        replayed = replay(DAYTIME, stored.message, stored.history, lambda version: Governance())
        assert replayed == stored.message


async def test_quiet_hours_hold_all_the_same() -> None:
    quiet = QuietHours("morning", (Window(540, 660),) * 7)
    async with World(DAYTIME, governance=Governance(quiet_hours=(quiet,))) as world:
        world.now = START + 8 * HOUR_MS
        (id,) = (await world.publish("evening", {}, time_zone=KYIV)).messages
        world.now = (await world.message(id)).starts_at
        await world.fire()
        (run,) = (await world.message(id)).runs
        assert run.held_for is Reason.QUIET_HOURS and clock(run.until or 0) == "11:00"


async def test_hours_that_begin_after_the_deadline_end_it_at_once() -> None:
    async with World(replace(DAYTIME, deadline_ms=HOUR_MS)) as world:
        world.now = START + 8 * HOUR_MS
        (id,) = (await world.publish("evening", {}, time_zone=KYIV)).messages
        message = await world.message(id)
        assert (message.status, message.reason) == (Status.EXPIRED, Reason.DEADLINE_PASSED)
        assert message.reason_detail == "send_at"


async def test_the_best_hour_is_that_of_their_own_answers() -> None:
    async with World(BEST) as world:
        assert await start_of(world, "first") == START, "nothing is known: at once"
        for day in range(1, 8):
            evening = START + day * DAY_MS + 6 * HOUR_MS
            await answer(world, f"day {day}", evening)
        world.now = START + 9 * DAY_MS
        (id,) = (await world.publish("last", {}, time_zone=KYIV)).messages
        message = await world.message(id)
        assert clock(message.starts_at) == "19:00"
        said = json.dumps(await explain(world, id))
        assert "their best hour (19:00: 7 of 7 answers of their own" in said
        stranger = await start_of(world, "stranger", "taras")
        assert clock(stranger) == "19:00", "everybody answers then, as far as is known"
        assert await world.store.answer_hours() == [7 if hour == 19 else 0 for hour in range(24)]


async def test_the_best_hour_is_never_after_the_deadline_or_outside_the_hours() -> None:
    soon = replace(BEST, deadline_ms=3 * HOUR_MS)
    async with World(soon) as world:
        for day in range(1, 8):
            await answer(world, f"day {day}", START + day * DAY_MS + 6 * HOUR_MS)
        world.now = START + 9 * DAY_MS
        assert await start_of(world, "last") < world.now + 3 * HOUR_MS
        hours = SendAt(between=Window(600, 1080), best_hour=True)
        newer = {"offer": replace(BEST, version="v2", send_at=hours)}
        world.rules = world.engine.rules = dataclasses.replace(world.rules, policies=newer)
        assert clock(await start_of(world, "day")) != "19:00"


async def test_nothing_is_counted_unless_a_policy_asks() -> None:
    async with World(replace(DAYTIME, send_at=None)) as world:
        await answer(world, "a", START + HOUR_MS)
        person = await world.store.recipient("olena")
        assert person is not None and "engagement" not in person
        assert sum(await world.store.answer_hours()) == 0


async def test_a_digest_waits_for_the_hours_and_gathers_no_more_meanwhile() -> None:
    policy = replace(DAYTIME, digest=Digest(window_ms=8 * HOUR_MS))
    async with World(policy) as world:
        (first,) = (await world.publish("a", {}, time_zone=KYIV)).messages
        world.now = (await world.message(first)).starts_at
        await world.fire()
        message = await world.message(first)
        assert clock(message.starts_at) == "10:00" and message.starts_at < message.deadline_at
        assert (await world.publish("b", {}, time_zone=KYIV)).messages != (first,)


async def test_the_channel_that_they_answer_comes_first_and_none_is_a_dead_end() -> None:
    async with World(ENGAGED) as world:
        (id,) = (await world.publish("first")).messages
        assert (await world.message(id)).sequence == (0, 1), "as written, while nothing is known"
        await world.send(id)
        world.at(3_600)
        await world.fire()
        await world.send(id)
        receipt = Receipt(state=Engagement.READ)
        await world.engine.submit(RecordReceipt("viber_a", receipt, id, 1))
        (id,) = (await world.publish("second")).messages
        stored = await world.stored(id)
        assert stored.message.sequence == (1, 0)
        assert "viber (1 of 1 answered), email (0 of 1 answered)" in json.dumps(
            await explain(world, id)
        )
        replayed = replay(ENGAGED, stored.message, stored.history, lambda version: Governance())
        assert replayed == stored.message
        (id,) = (await world.publish("third", phone=None)).messages
        message = await world.message(id)
        assert message.sequence == (1, 0)
        assert [run.channel for run in message.ready()] == ["email"], "they have no phone any more"


async def test_what_was_never_delivered_is_no_answer() -> None:
    async with World(ENGAGED) as world:
        (id,) = (await world.publish("first")).messages
        await world.send(id)
        receipt = Receipt(state=Delivery.DELIVERED)
        await world.engine.submit(RecordReceipt("mail", receipt, id, 0))
        person = await world.store.recipient("olena")
        assert person is not None
        assert person["engagement"] == {"channels": {"email": [0, 1]}}
