"""
A hundred thousand timers due in the same second: how many fire a second until the last one has.
"""

from __future__ import annotations

import asyncio
import time

from bench.figures import at_least, number
from bench.groups.rounds import Rounds
from bench.place import Service
from bench.seed import Seeds, ends_of, make_patterns
from bench.stage import Stage

SEED_SECONDS_EACH = 0.0005
START_SECONDS = 8.0
FIRE_SECONDS = 240.0


class TimerBurst(Rounds):
    name = "timers"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._count = stage.size(100_000, 10_000)
        self._service: Service | None = None
        what = f"{number(self._count)} timers due in one second"
        self.figure("burst_rate", f"{what}: fired", "/s", at_least(5_000))
        self.figure("burst_us", f"{what}: a timer", "µs CPU")

    async def turn(self) -> None:
        await self.attempt(self._burst, "burst_rate", "burst_us")

    async def _burst(self) -> None:
        """
        Each timer ends its message; the time is from the second they are due in to the last one's
        end.
        """
        self._service = service = await make_patterns(self.stage, "timers")
        seeds = Seeds(service.database)
        at = int((time.time() + self._count * SEED_SECONDS_EACH + START_SECONDS) * 1000)
        self.stage.say(f"timers: making {number(self._count)}")
        due = [at + place % 1000 for place in range(self._count)]
        first, last = await asyncio.to_thread(seeds.grow, "bench_far", due)
        at = max(
            at, int(time.time() * 1000)
        )  # where making them took too long, starting counts too
        await service.start()
        cpu = service.cpu_seconds
        await asyncio.sleep(max(0.0, at / 1000 - time.time()))
        ended = await ends_of(service.database, first, last, due, within=FIRE_SECONDS)
        self.figures["burst_rate"].values.append(self._count / (max(ended) - at) * 1000)
        self.figures["burst_us"].values.append((service.cpu_seconds - cpu) / self._count * 1e6)

    async def close(self) -> None:
        if self._service is not None:
            await self._service.stop()
