"""A sink that fails in a way nobody foresaw is no loop that spins, and one event stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from orchestrator.core.policy import Policy, Step
from orchestrator.statuses import outbox as outboxes
from orchestrator.statuses.outbox import GIVE_UP_MS, Outbox
from orchestrator.stores.rows import StatusEvent
from tests.engine.world import World

SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))


class Picky:
    """Fails on every delivery with the event of this place."""

    name = "statuses"

    def __init__(self, place: int) -> None:
        self.taken: list[int] = []
        self.tries = 0
        self._place = place

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        self.tries += 1
        if any(event.sequence == self._place for event in events):
            raise KeyError("it failed")
        self.taken += [event.sequence for event in events]
        return len(events)


async def test_events_before_one_that_fails_are_delivered_and_after_a_day_those_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outboxes, "FIRST_PAUSE_SECONDS", 0.05)
    sink = Picky(3)
    async with World(SMS, emits_statuses=True) as world:
        for number in range(5):
            await world.publish(str(number))
        outbox = Outbox(world.engine, world.store, [sink], lambda: world.now)
        await outbox.start()
        async with asyncio.timeout(20):
            while sink.taken != [1, 2] or sink.tries < 6:  # noqa: ASYNC110 - it sends no events
                await asyncio.sleep(0.02)
            world.now += GIVE_UP_MS + 1_000
            while sink.taken != [1, 2, 4, 5]:  # noqa: ASYNC110 - it sends no events
                await asyncio.sleep(0.02)
        await outbox.stop()
        (letter,) = await world.store.dead_letters(None, 10)
        assert letter.reason == "status_undelivered"


async def test_new_events_are_no_reason_to_try_a_failing_sink_sooner() -> None:
    sink = Picky(1)
    async with World(SMS, emits_statuses=True) as world:
        await world.publish()
        outbox = Outbox(world.engine, world.store, [sink], lambda: world.now)
        await outbox.start()
        for _ in range(50):
            outbox.poke()
            await asyncio.sleep(0.005)
        await asyncio.wait_for(outbox.stop(), 10)
        assert sink.tries <= 2
