"""
Timers: a due one becomes a fact, and nothing else. They never call the network.

The store knows when each message wants to be looked at; this asks for what is due, in batches, and
sleeps until the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from orchestrator.core.facts import Due
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.primitives.clock import Clock
from orchestrator.stores.port import Store, StoreBusy

log = structlog.get_logger()

BATCH_MAX = 512
LONGEST_SLEEP_SECONDS = 1.0


class Timers:
    """
    Two loops a process: one for codes, so that none waits for a crowd of other timers, and one for
    all. A timer that both have seen fires twice, and is void the second time. ``fired`` is told how
    late (ms) each timer was.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: Clock,
        fired: Callable[[int], None] = lambda late_ms: None,
        longest_sleep_seconds: float = LONGEST_SLEEP_SECONDS,
    ) -> None:
        self._codes, self._all = (
            TimerLoop(engine, store, clock, fired, longest_sleep_seconds, otp)
            for otp in (True, False)
        )

    async def start(self) -> None:
        self._codes.start()
        self._all.start()

    async def stop(self) -> None:
        await asyncio.gather(self._codes.stop(), self._all.stop())

    def poke(self, due_at: int, urgent: bool = False) -> None:
        """
        A message wants to be looked at by then; wake up where that is sooner than planned.
        ``urgent``: it is a code.
        """
        (self._codes if urgent else self._all).poke(due_at)


class TimerLoop:
    """``otp``: only those of codes."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: Clock,
        fired: Callable[[int], None],
        longest_sleep_seconds: float,
        otp: bool,
    ) -> None:
        self.engine = engine
        self.store = store
        self._clock = clock
        self._fired = fired
        self._longest_sleep_seconds = longest_sleep_seconds
        self._only_otp = otp
        self._sooner = asyncio.Event()
        self._next: int | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="timers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def poke(self, due_at: int) -> None:
        """A message wants to be looked at by then; wake up where that is sooner than planned."""
        if self._next is None or due_at < self._next:
            self._sooner.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except Stopped:
                return
            except StoreBusy as error:
                log.info("timers.store_busy", why=str(error))
                await asyncio.sleep(LONGEST_SLEEP_SECONDS)
            except Exception:
                log.exception("timers.failed")
                await asyncio.sleep(LONGEST_SLEEP_SECONDS)

    async def _turn(self) -> None:
        now = self._clock.now()
        rows = await self.store.due(now, BATCH_MAX, self._only_otp)
        if rows:
            for due_at, _ in rows:
                self._fired(now - due_at)
            facts = [
                ApplyFact(message, Due(due_at), urgent=self._only_otp) for due_at, message in rows
            ]
            results = await self.engine.submit_many(facts)
            if any(isinstance(result, BaseException) for result in results):
                await asyncio.sleep(
                    LONGEST_SLEEP_SECONDS
                )  # logged by the engine; do not spin on what cannot be decided
            return
        self._sooner.clear()
        self._next = None
        self._next = await self.store.next_due(self._only_otp)
        longest = self._longest_sleep_seconds
        seconds = (
            longest
            if self._next is None
            else self._clock.real_seconds(self._next - self._clock.now())
        )
        try:
            await asyncio.wait_for(self._sooner.wait(), min(max(seconds, 0.001), longest))
        except TimeoutError:
            return
