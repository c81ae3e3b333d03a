"""Pauses in the engine: both stores, and several processes on one."""

from __future__ import annotations

import asyncio

from orchestrator.core.inputs import UNTIL_RESUMED
from orchestrator.core.message import Sending
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import EndPause, FactApplied, StartPause
from orchestrator.stores.rows import PauseRow, Wanted
from tests.engine.world import START, World
from tests.stores.test_shared import processes

POLICY = Policy("tale", "v1", "shop.event", (Step("sms"),))
PEOPLE = 130
LOOKS_MAX = 400


def attempts(applied: FactApplied) -> int:
    return len(applied.decision.message.attempts)


async def sending(world: World, id: str) -> tuple[Sending, Reason | None]:
    run = (await world.message(id)).runs[0]
    return run.sending, run.held_for


async def test_a_pause_holds_what_comes_and_what_waits_until_it_is_ended() -> None:
    async with World(POLICY) as world:
        (waiting,) = (await world.publish("0")).messages
        paused = await world.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED, "prices"))
        assert paused == PauseRow("channel", "sms", START, UNTIL_RESUMED, "prices")
        held = [
            (await world.publish(str(n), id=f"p{n}", phone=f"+38050{n:07}")).messages[0]
            for n in range(1, PEOPLE)
        ]
        assert await sending(world, held[0]) == (Sending.HELD, Reason.PAUSED)
        assert not attempts(await world.send(waiting))
        world.runtime.reexamination.start()
        world.store.on_wake(world.runtime.wake)
        world.at(60)
        ended = await world.engine.submit(EndPause("channel", "sms"))
        assert ended == paused._replace(until=world.now, eased_at=world.now)
        for _ in range(LOOKS_MAX):
            await asyncio.sleep(0.02)
            states = {(await sending(world, id))[0] for id in (waiting, *held)}
            if states == {Sending.READY}:
                break
        await world.runtime.reexamination.stop()
        assert states == {Sending.READY}
        assert attempts(await world.send(waiting))


async def test_a_pause_ends_by_itself_and_is_forgotten_by_nobody() -> None:
    async with World(POLICY) as world:
        await world.engine.submit(StartPause("policy", "tale", START + 60_000))
        (id,) = (await world.publish("0")).messages
        assert await sending(world, id) == (Sending.HELD, Reason.PAUSED)
        longer = await world.engine.submit(StartPause("policy", "tale", START + 90_000, "still"))
        assert (longer.at, longer.until) == (START, START + 90_000)
        world.at(60)
        await world.fire()
        assert await sending(world, id) == (Sending.HELD, Reason.PAUSED)
        world.at(90)
        await world.fire()
        assert await sending(world, id) == (Sending.READY, None) or (await sending(world, id)) == (
            Sending.READY,
            Reason.PAUSED,
        )
        assert await world.engine.submit(EndPause("policy", "tale")) is None, "it is over"
        assert await world.engine.submit(EndPause("policy", "never")) is None
        assert await world.store.pauses() == [longer]


async def test_a_pause_whose_end_is_brought_forward_holds_nothing_past_it() -> None:
    async with World(POLICY) as world:
        world.store.on_wake(world.runtime.wake)
        await world.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED))
        (id,) = (await world.publish("0")).messages
        world.runtime.reexamination.start()
        sooner = await world.engine.submit(StartPause("channel", "sms", START + 60_000))
        assert (sooner.at, sooner.eased_at) == (START, START)
        for _ in range(LOOKS_MAX):
            await asyncio.sleep(0.02)
            if (await world.message(id)).due_at == START + 60_000:
                break
        await world.runtime.reexamination.stop()
        world.at(60)
        await world.fire()
        assert (await sending(world, id))[0] is Sending.READY
        again = await world.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED))
        assert (again.at, again.eased_at) == (world.now, START), "what was not asked yet still is"


async def test_one_batch_sees_the_pause_before_what_stands_behind_it() -> None:
    async with World(POLICY) as world:
        (id,) = (await world.publish("0")).messages
        pausing = world.engine.submit(StartPause("provider", "texts", UNTIL_RESUMED))
        sent = await world.send(id)
        await pausing
        assert not attempts(sent)


async def test_a_pause_waits_for_whoever_is_deciding_and_nobody_decides_past_it(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2, POLICY) as (a, b):
        (id,) = (await a.publish("0")).messages
        async with a.store.unit() as unit:
            await unit.load(Wanted(messages={id}))
            pausing = asyncio.ensure_future(
                b.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED))
            )
            done, _ = await asyncio.wait({pausing}, timeout=0.3)
            assert not done, "something is being decided by what was true before"
        await pausing
        assert not attempts(await a.send(id))


async def test_every_process_learns_that_a_pause_was_ended(postgres_url: str) -> None:
    async with processes(postgres_url, 2, POLICY) as (a, b):
        woken: dict[str, asyncio.Queue[str]] = {}
        for process in (a, b):
            woken[process.name] = asyncio.Queue()
            process.store.on_wake(woken[process.name].put_nowait)
        await a.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED))
        for queue in woken.values():
            assert await asyncio.wait_for(queue.get(), 5) == "pauses"


async def test_a_resume_that_is_repeated_wakes_the_process_again() -> None:
    async with World(POLICY) as world:
        words: list[str] = []
        world.store.on_wake(words.append)
        await world.engine.submit(StartPause("channel", "sms", UNTIL_RESUMED))
        await world.engine.submit(EndPause("channel", "sms"))
        assert await world.engine.submit(EndPause("channel", "sms")) is None
        assert words == ["pauses"] * 3
