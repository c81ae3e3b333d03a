"""
What a million waiting messages change: how fast lives are, how soon a restarted service sends, how
late timers are, how much memory and disk it takes. The messages are copies of real ones
(``bench.seed``) whose timers are a week away.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass

from bench.figures import Figure, at_least, at_most, number, quantile
from bench.groups.rounds import Rounds
from bench.lives import lives
from bench.place import Service
from bench.seed import Seeds, ends_of, make_patterns
from bench.stage import Stage
from bench.worker import BenchError

TIMERS_PER_SECOND = 1_000
FIRST_SENDS = 100
FIRST_SEND_SECONDS = 60.0
SETTLE_SECONDS = 6.0
"""From the start of a service until the first of a run of timers is due."""


@dataclass(slots=True)
class Level:
    """The number of waiting messages, and the service that holds them."""

    key: str
    pending: int
    service: Service


class Pending(Rounds):
    name = "pending"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._levels: list[Level] = []
        self._sizes = (1_000, 100_000, 1_000_000) if not stage.quick else (1_000, 20_000, 200_000)
        few, some, many = (number(size) for size in self._sizes)
        for key, size in (("few", few), ("some", some), ("many", many)):
            self.figure(f"flat_{key}_rate", f"a life with {size} pending", "/s")
        for key, size in (("few", few), ("some", some), ("many", many)):
            self.figure(f"flat_{key}_us", f"a life with {size} pending", "µs CPU")
        self.figure(
            "flat_ratio", f"throughput with {many} pending ÷ with {few}", "×", at_least(0.9)
        )
        self.figure(
            "restart_seconds", f"restart with {many} pending: exec to first send", "s", at_most(5.0)
        )
        self.figure(
            "memory_mb", f"memory with {many} pending, after a while at work", "MB", at_most(400.0)
        )
        self.figure("disk_bytes", "disk a pending message", "B")
        what = f"timers at {TIMERS_PER_SECOND}/s with {many} pending"
        self.figure("late_p50_ms", f"{what}: late, median", "ms")
        self.figure("late_p99_ms", f"{what}: late, p99", "ms", at_most(100.0))
        self.figure("timer_us", f"{what}: a timer", "µs CPU")

    async def open(self) -> None:
        base = await make_patterns(self.stage, "pending")
        self._seeds = Seeds(base.database)
        had, small = 0, base.database.stat().st_size
        for key, size in zip(("few", "some", "many"), self._sizes, strict=True):
            self.stage.say(f"pending: making {number(size)} messages that wait")
            await asyncio.to_thread(self._seeds.grow, "bench_far", [None] * (size - had))
            had = size
            service = base if size == self._sizes[-1] else await self._copy(base, key)
            self._levels.append(Level(key, size, service))
        grown = base.database.stat().st_size - small
        self.figures["disk_bytes"].values.append(grown / self._sizes[-1])
        for level in self._levels:
            await level.service.start()
            await lives(self.stage, [level.service], 300)

    async def _copy(self, base: Service, key: str) -> Service:
        copy = self.stage.installation(f"pending-{key}")
        await asyncio.to_thread(shutil.copyfile, base.database, copy.database)
        return copy

    async def turn(self) -> None:
        for turn in range(self.stage.repeats):
            self.stage.say(f"pending: lives, turn {turn + 1} of {self.stage.repeats}")
            for level in self._levels:
                keys = (f"flat_{level.key}_rate", f"flat_{level.key}_us")
                await self.attempt(lambda level=level: self._flat(level), *keys)  # type: ignore[misc]
        for level in self._levels[:-1]:
            await level.service.stop()
        await self.attempt(self._memory, "memory_mb")
        for turn in range(self.stage.repeats):
            self.stage.say(f"pending: restart {turn + 1} of {self.stage.repeats}")
            await self.attempt(self._restart, "restart_seconds")
        self.stage.say("pending: steady timers")
        await self.attempt(self._steady, "late_p50_ms", "late_p99_ms", "timer_us")

    async def _flat(self, level: Level) -> None:
        cost = await lives(self.stage, [level.service], self.stage.size(2_000, 800))
        self.figures[f"flat_{level.key}_rate"].values.append(cost.per_second)
        self.figures[f"flat_{level.key}_us"].values.append(cost.cpu_us)

    async def _memory(self) -> None:
        self.figures["memory_mb"].values.append(self._full.rss_bytes / 1e6)

    @property
    def _full(self) -> Service:
        return self._levels[-1].service

    async def _restart(self) -> None:
        """
        Stop, have a few timers fall due whose next step is an SMS, run, and wait for the first.
        """
        await self._full.stop()
        now = int(time.time() * 1000)
        await asyncio.to_thread(
            self._seeds.grow,
            "bench_step",
            [now - FIRST_SENDS + place for place in range(FIRST_SENDS)],
        )
        await self.stage.sink.ask("reset")
        started_ns = time.time_ns()
        self._full.spawn()
        while not (sent := await self.stage.sink.ask("count"))["sms"]:
            if time.time_ns() - started_ns > FIRST_SEND_SECONDS * 1e9:
                raise BenchError(
                    f"nothing was sent within {FIRST_SEND_SECONDS:.0f} s: {self._full.last_words()}"
                )
            await asyncio.sleep(0.02)
        self.figures["restart_seconds"].values.append((sent["first_ns"] - started_ns) / 1e9)
        await self._full.ready()
        await asyncio.sleep(1)

    async def _steady(self) -> None:
        """
        One timer a millisecond, each of which ends its message; late is from due to the decision,
        by the store.
        """
        await self._full.stop()
        count = TIMERS_PER_SECOND * self.stage.size(20, 6)
        seeding = count * 0.0005
        start = int((time.time() + seeding + SETTLE_SECONDS) * 1000)
        due = [start + place * 1000 // TIMERS_PER_SECOND for place in range(count)]
        first, last = await asyncio.to_thread(self._seeds.grow, "bench_far", due)
        await self._full.start()
        await asyncio.sleep(max(0.0, start / 1000 - time.time() - 0.2))
        cpu = self._full.cpu_seconds
        await asyncio.sleep(max(0.0, start / 1000 + count / TIMERS_PER_SECOND - time.time()) + 2)
        used = self._full.cpu_seconds - cpu
        ended = await ends_of(self._full.database, first, last, due, within=60)
        late = sorted(float(at - instant) for at, instant in zip(ended, due, strict=True))
        self.figures["late_p50_ms"].values.append(quantile(late, 0.5))
        self.figures["late_p99_ms"].values.append(quantile(late, 0.99))
        self.figures["timer_us"].values.append(used / count * 1e6)

    async def close(self) -> None:
        for level in self._levels:
            await level.service.stop()

    def conclude(self, others: dict[str, Figure]) -> None:
        many, few, ratio = (
            self.figures[key] for key in ("flat_many_rate", "flat_few_rate", "flat_ratio")
        )
        ratio.values = [one / other for one, other in zip(many.values, few.values, strict=False)]
        if not ratio.values:
            ratio.excuse(many, few)
