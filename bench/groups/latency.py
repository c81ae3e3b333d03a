"""
Measure latencies at half the throughput that was measured just before.

*Accepted* is the instant at which the store's transaction took the event (``created_at``): earlier
than the 202, which is sent once that transaction is durable. *Called* is when the sink had the
whole request. Both by the machine's clock.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping
from pathlib import Path

from bench.events import CODE, ORDER, PROMO
from bench.figures import Bar, at_most, quantile
from bench.groups.rounds import Rounds
from bench.lives import lives, publish
from bench.place import Service
from bench.seed import created_at
from bench.stage import Stage
from bench.worker import BenchError

BATCH = 10
RATE_SHARE = 0.5
PROMO_RATE = 200
"""What the blast's provider takes a second; the backlog is many times that."""
CODES_PER_SECOND = 20
CALLS_SECONDS = 60.0


class Latency(Rounds):
    name = "latency"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._services: list[Service] = []
        self.figure("half_load", "half of the throughput measured", "/s")
        self._three("call", "at half load: accepted → provider call", at_most(25.0, aim=15.0))
        self._three("post", "at half load: event posted → provider call")
        self._three("receipt", "at half load: receipt posted → answered")
        self._three(
            "code", f"codes during a blast held at {PROMO_RATE}/s: accepted → provider call"
        )

    def _three(self, key: str, what: str, bar: Bar | None = None) -> None:
        self.figure(f"{key}_p50_ms", f"{what}, median", "ms")
        self.figure(f"{key}_p99_ms", f"{what}, p99", "ms", bar)
        self.figure(f"{key}_p999_ms", f"{what}, p99.9", "ms")

    def _keep(self, key: str, milliseconds: list[float]) -> None:
        ordered = sorted(milliseconds)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            self.figures[f"{key}_{name}_ms"].values.append(quantile(ordered, share))

    def _keys(self, *kinds: str) -> list[str]:
        return [f"{kind}_{name}_ms" for kind in kinds for name in ("p50", "p99", "p999")]

    async def turn(self) -> None:
        await self.attempt(self._half_load, "half_load", *self._keys("call", "post", "receipt"))
        await self.attempt(self._codes, *self._keys("code"))

    async def _half_load(self) -> None:
        service = await self._service("latency")
        await lives(self.stage, [service], 500)
        full = [
            (await lives(self.stage, [service], self.stage.size(3_000, 1_500))).per_second
            for _ in range(3)
        ]
        rate = sorted(full)[1] * RATE_SHARE
        self.figures["half_load"].values.append(rate)
        for turn in range(self.stage.repeats):
            self.stage.say(
                f"latency: half load, {rate:.0f}/s, turn {turn + 1} of {self.stage.repeats}"
            )
            await self._at_rate(service, rate)

    async def _at_rate(self, service: Service, rate: float) -> None:
        count = max(BATCH, int(rate * self.stage.size(8, 4)) // BATCH * BATCH)
        posted, took = self.stage.folder / "posted", self.stage.folder / "receipts"
        await self.stage.aim([service], "delivered")
        await publish(
            self.stage,
            [service],
            count,
            ORDER,
            batch=BATCH,
            rate=rate,
            connections=16,
            stamps=str(posted),
        )
        await self.stage.receipts(count)
        await self.stage.poster.ask("seconds", file=str(took))
        called = await self._called()
        self._keep("post", between(pairs(posted), called, count))
        accepted = await asyncio.to_thread(created_at, service.database, min(called))
        self._keep("call", between(accepted, called, count))
        self._keep("receipt", [seconds * 1000 for seconds in array("d", took.read_bytes())])

    async def _called(self) -> dict[int, int]:
        file = self.stage.folder / "called"
        await self.stage.sink.ask("stamps", file=str(file))
        return pairs(file)

    async def _called_from(self, first: int, count: int) -> dict[int, int]:
        """The stamps of ``count`` events from number ``first`` on, once they are there."""
        deadline = time.monotonic() + CALLS_SECONDS
        while True:
            called = {
                number: at for number, at in (await self._called()).items() if number >= first
            }
            if len(called) >= count:
                return called
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{count} codes were published and {len(called)} sent within"
                    f" {CALLS_SECONDS:.0f} s more"
                )
            await asyncio.sleep(0.2)

    async def _codes(self) -> None:
        """One-time codes beside a promotional backlog behind the same, rate-limited account."""
        service = await self._service("blast", rate=f"{PROMO_RATE}/s")
        seconds = self.stage.size(20, 6)
        await self.stage.aim([service], "delivered")
        backlog = PROMO_RATE * (seconds + 10)
        self.stage.say(f"latency: codes beside {backlog} promotional messages")
        await publish(self.stage, [service], backlog, PROMO, people=1_000_000)
        await self.stage.sink.ask("reset")
        count = CODES_PER_SECOND * seconds
        found = await publish(
            self.stage, [service], count, CODE, batch=1, rate=CODES_PER_SECOND, people=1_000_000
        )
        called = await self._called_from(found["first"], count)
        accepted = await asyncio.to_thread(created_at, service.database, found["first"])
        self._keep("code", between(accepted, called, count))

    async def _service(self, name: str, rate: str = "") -> Service:
        service = await self.stage.service(name, rate=rate)
        self._services.append(service)
        return service

    async def close(self) -> None:
        for service in self._services:
            await service.stop()


def pairs(file: Path) -> dict[int, int]:
    """The int64 pairs of a file."""
    flat = array("q", file.read_bytes())
    return dict(zip(flat[::2], flat[1::2], strict=True))


def between(start_ns: Mapping[int, int], end_ns: Mapping[int, int], count: int) -> list[float]:
    """
    Milliseconds from one stamp to the other of each event. Raises ``BenchError`` where not all
    ``count`` have both.
    """
    found = [(end_ns[number] - at) / 1e6 for number, at in start_ns.items() if number in end_ns]
    if len(found) != count:
        raise BenchError(f"{count} provider calls were expected and {len(found)} were seen")
    return found
