"""
Faults: a plan drawn from a seed before anything runs, and the journal of what was really done, and
when.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.verify.chaos.processes import Worker
from tests.verify.chaos.stack import Stack

KILL, KILL_STARTING, PAUSE, DRAIN, STACK = "kill", "kill starting", "pause", "drain", "kill all"
DATABASE_FAST, DATABASE_CRASH, SESSIONS, BROKER = (
    "database restart",
    "database crash",
    "sessions ended",
    "broker kill",
)
WEIGHTS = {
    KILL: 50,
    KILL_STARTING: 6,
    PAUSE: 16,
    DRAIN: 8,
    STACK: 2,
    DATABASE_FAST: 4,
    DATABASE_CRASH: 4,
    SESSIONS: 8,
    BROKER: 3,
}
KILLS = {KILL: 1, KILL_STARTING: 2}
ABRUPT = (KILL, KILL_STARTING, STACK, PAUSE)
"""Faults that end or stop a process between an intent and its answer."""
OF_DATABASE = (DATABASE_FAST, DATABASE_CRASH, SESSIONS)
QUIET_SECONDS = (0.2, 1.8)
PAUSE_SECONDS = (1.0, 30.0)
LONG_DOWN_SHARE, LONG_DOWN_SECONDS = 0.15, (10.0, 30.0)
BROKER_DOWN_SECONDS = 2.0
FREE_LOOK_SECONDS = 0.2
USUAL_START_SECONDS, PACE_MAX = 4.0, 5.0
"""
The time all workers together need to start on two free cores; a busy machine gets more.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault to come, ``after`` seconds of quiet; ``seconds`` is how long it lasts where that is a
    choice.
    """

    kind: str
    after: float
    worker: int
    seconds: float


@dataclass(slots=True)
class Happened:
    """
    One fault that came: ``until`` is when its victim was back. ``code`` and ``took`` are a drain's.
    """

    kind: str
    worker: str
    at: float
    until: float = 0.0
    code: int | None = None
    took: float | None = None


@dataclass(slots=True)
class Journal:
    """Everything that was done, in its order."""

    faults: list[Happened] = field(default_factory=list)

    def begin(self, kind: str, worker: str = "") -> Happened:
        happened = Happened(kind, worker, time.time())
        self.faults.append(happened)
        return happened

    def of(self, kinds: Sequence[str]) -> list[Happened]:
        return [fault for fault in self.faults if fault.kind in kinds]

    @property
    def kills(self) -> int:
        """SIGKILLs of a worker so far; of a ``kill all`` those that were up."""
        of_all = sum(len(fault.worker.split(", ")) for fault in self.of((STACK,)) if fault.worker)
        return of_all + sum(KILLS.get(fault.kind, 0) for fault in self.faults)

    def counts(self) -> Counter[str]:
        return Counter(fault.kind for fault in self.faults)


def drawn(seed: int, kills: int, *, workers: int, postgres: bool, broker: bool) -> list[Fault]:
    """Faults with ``kills`` SIGKILLs of workers among them; the same for the same arguments."""
    chance = random.Random(seed)
    weights = dict(WEIGHTS)
    for kind in () if postgres else OF_DATABASE:
        del weights[kind]
    if not broker:
        del weights[BROKER]
    plan: list[Fault] = []
    left = kills
    while left > 0:
        kind = chance.choices(list(weights), list(weights.values()))[0]
        left -= workers if kind == STACK else KILLS.get(kind, 0)
        seconds = 0.0
        if kind == PAUSE:
            seconds = chance.choice((chance.uniform(1.0, 4.0), chance.uniform(*PAUSE_SECONDS)))
        elif kind == KILL and chance.random() < LONG_DOWN_SHARE:
            seconds = chance.uniform(*LONG_DOWN_SECONDS)
        elif kind == KILL_STARTING:
            seconds = chance.uniform(0.2, 1.5)
        plan.append(Fault(kind, chance.uniform(*QUIET_SECONDS), chance.randrange(workers), seconds))
    return plan


class Faults:
    """Carries a plan out. What lasts runs on beside the next faults, so that they meet."""

    def __init__(self, place: Stack, journal: Journal) -> None:
        self.place, self.journal = place, journal
        self._lasting: set[asyncio.Task[None]] = set()
        self._database, self._broker = asyncio.Lock(), asyncio.Lock()

    async def run(self, plan: Sequence[Fault], kills: int) -> None:
        """
        The whole plan, and single kills until there were ``kills``: a ``kill all`` finds some
        workers down already.

        Where processes need long to start, there is as much more quiet between the faults.
        """
        pace = min(PACE_MAX, max(1.0, self.place.start_seconds / USUAL_START_SECONDS))
        for fault in plan:
            await asyncio.sleep(fault.after * pace)
            await self._do(fault)
        while self.journal.kills < kills:
            await asyncio.sleep(pace)
            await self._do(Fault(KILL, 0.0, 0, 0.0))
            await asyncio.gather(*list(self._lasting))

    async def over(self) -> None:
        """Wait until everything that was hurt is back."""
        while self._lasting:
            await asyncio.gather(*list(self._lasting))
        await self.place.start()

    async def _do(self, fault: Fault) -> None:
        if fault.kind in OF_DATABASE:
            self._beside(self._hurt_database(fault.kind))
        elif fault.kind == BROKER:
            self._beside(self._kill_broker())
        elif fault.kind == STACK:
            await self._kill_all()
        else:
            worker = await self._free(fault.worker)
            worker.busy = True
            self._beside(self._hurt(fault, worker))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a fault last while the next ones come."""
        task = asyncio.create_task(work)
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)

    async def _free(self, first: int) -> Worker:
        """
        The first worker from ``first`` on that nothing is done to; wait for one if there is none.
        """
        workers = self.place.workers
        while True:
            for index in range(len(workers)):
                worker = workers[(first + index) % len(workers)]
                if not worker.busy and worker.running:
                    return worker
            await asyncio.sleep(FREE_LOOK_SECONDS)

    async def _hurt(self, fault: Fault, worker: Worker) -> None:
        happened = self.journal.begin(fault.kind, worker.name)
        try:
            if fault.kind == PAUSE:
                worker.pause()
                await asyncio.sleep(fault.seconds)
                worker.resume()
            elif fault.kind == DRAIN:
                async with (
                    self._database
                ):  # a drain ends in order as long as there is a database to end in
                    happened.code, happened.took = await worker.drain()
                worker.start()
            else:
                worker.kill()
                if fault.kind == KILL:
                    await asyncio.sleep(fault.seconds)
                worker.start()
                if fault.kind == KILL_STARTING:
                    await asyncio.sleep(fault.seconds)
                    worker.kill()
                    worker.start()
            happened.until = time.time()
            await worker.ready(self.place.session)
        finally:
            worker.busy = False

    async def _hurt_database(self, kind: str) -> None:
        database = self.place.postgres
        assert database is not None
        async with self._database:
            happened = self.journal.begin(kind)
            if kind == SESSIONS:
                await asyncio.to_thread(database.terminate_backends, None, 0.5)
            else:
                await asyncio.to_thread(
                    database.restart, "fast" if kind == DATABASE_FAST else "immediate"
                )
            happened.until = time.time()

    async def _kill_broker(self) -> None:
        assert self.place.broker is not None
        async with self._broker:
            happened = self.journal.begin(BROKER)
            self.place.broker.stop()
            await asyncio.sleep(BROKER_DOWN_SECONDS)
            await self.place.broker.start()
            happened.until = time.time()

    async def _kill_all(self) -> None:
        """Every worker at once, and the database with them: what a power cut leaves."""
        free = [worker for worker in self.place.workers if not worker.busy]
        for worker in free:
            worker.busy = True
        happened = self.journal.begin(STACK, ", ".join(worker.name for worker in free))
        try:
            for worker in free:
                worker.kill()
            if self.place.postgres is not None:
                async with self._database:
                    await asyncio.to_thread(self.place.postgres.kill)
                    await asyncio.to_thread(self.place.postgres.start)
            for worker in free:
                worker.start()
            happened.until = time.time()
            for worker in free:
                await worker.ready(self.place.session)
        finally:
            for worker in free:
                worker.busy = False


async def rolling_restart(place: Stack, journal: Journal, seconds_between: float) -> None:
    """Every worker in turn: SIGTERM, and a new one in its place."""
    for worker in place.workers:
        happened = journal.begin(DRAIN, worker.name)
        happened.code, happened.took = await worker.drain()
        worker.start()
        happened.until = time.time()
        await worker.ready(place.session)
        await asyncio.sleep(seconds_between)
