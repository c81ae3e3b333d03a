"""
Timers: a due one becomes a ``Due`` fact, and nothing else. They never call the network.

The store knows when each message wants to be looked at. This asks it for what is due, in batches,
and sleeps until the next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog

from orchestrator.core.facts import Due
from orchestrator.core.journey.facts import WaitOver
from orchestrator.engine.commands import ApplyFact, ApplyJourneyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.engine.failing import (
    HELD_MAX,
    LONGEST_SECONDS,
    STORE_SECONDS,
    Failing,
    delay_seconds,
)
from orchestrator.primitives.clock import Clock
from orchestrator.primitives.waiting import set_within
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.port import Store, StoreBusy
from orchestrator.stores.rows import TimerRow

log = structlog.get_logger()

BATCH_MAX = 512
LONGEST_SLEEP_SECONDS = 1.0
LOOK_SECONDS = 0.25
"""How soon to look again while the timers that are due belong to messages that rest."""


def timer_command(row: TimerRow, *, urgent: bool = False) -> ApplyFact | ApplyJourneyFact:
    """What a due timer has the engine decide. ``urgent``: it is that of an OTP."""
    if is_journey(row.message):
        return ApplyJourneyFact(row.message, WaitOver(row.due_at))
    return ApplyFact(row.message, Due(row.due_at), urgent=urgent)


class Timers:
    """
    Two loops a process: one for OTPs, so that none waits behind many other timers, and one for all.
    A timer that both have seen fires twice, and is void the second time. ``fired`` gets how late
    (ms) each timer was.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: Clock,
        fired: Callable[[int], None] = lambda late_ms: None,
        longest_sleep_seconds: float = LONGEST_SLEEP_SECONDS,
    ) -> None:
        self._otp, self._all = (
            TimerLoop(engine, store, clock, fired, longest_sleep_seconds, otp)
            for otp in (True, False)
        )

    async def start(self) -> None:
        self._otp.start()
        self._all.start()

    async def stop(self) -> None:
        await asyncio.gather(self._otp.stop(), self._all.stop())

    def poke(self, due_at: int, urgent: bool = False) -> None:
        """Wake up if ``due_at`` is sooner than planned. ``urgent``: the message is an OTP."""
        (self._otp if urgent else self._all).poke(due_at)


class TimerLoop:
    """``otp``: fire only the timers of OTPs."""

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
        self._otp = otp
        self._failing: Failing[str] = Failing(clock.monotonic)
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
        """Wake up if ``due_at`` is sooner than planned."""
        if self._next is None or due_at < self._next:
            self._sooner.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if not await self._fire_due():
                    await self._sleep()
                failures = 0
                continue
            except Stopped:
                return
            except StoreBusy as error:
                longest = STORE_SECONDS
                log.info("timers.store_busy", why=str(error))
            except Exception:
                longest = LONGEST_SECONDS
                log.exception("timers.failed")
            failures += 1
            await asyncio.sleep(delay_seconds(failures, f"timers {self._otp}", longest))

    async def _fire_due(self) -> bool:
        """Fire one batch of due timers; False if there were none but of messages that rest."""
        now, resting = self._clock.now(), self._failing.resting()
        found = await self.store.due(now, BATCH_MAX + min(len(resting), HELD_MAX), self._otp)
        rows = [row for row in found if row.message not in resting]
        for due_at, _ in rows:
            self._fired(now - due_at)
        results = await self.engine.submit_many(
            [timer_command(row, urgent=self._otp) for row in rows]
        )
        failed = 0
        for (_, message), result in zip(rows, results, strict=True):
            if isinstance(result, StoreBusy | Stopped):
                raise result
            if isinstance(result, BaseException):
                # the engine has logged it, and the timer stays due: let the others go before it
                self._failing.failed(message)
                failed += 1
            else:
                self._failing.worked(message)
        if failed > len(rows) // 2:  # more may fail than are remembered
            await asyncio.sleep(LONGEST_SLEEP_SECONDS)
        return bool(rows)

    async def _sleep(self) -> None:
        """
        Sleep until a timer is due. Another process may set one, and the clock may be set forward:
        ask for the next at least every so often.
        """
        longest = self._longest_sleep_seconds
        while True:
            self._sooner.clear()
            self._next = None
            self._next = await self.store.next_due(self._otp)
            seconds = math.inf
            if self._next is not None:
                seconds = self._clock.real_seconds(self._next - self._clock.now())
            due = seconds <= 0
            if due and self._failing.resting():
                self._next, seconds = None, LOOK_SECONDS
            poked = await set_within(self._sooner, min(max(seconds, 0.001), longest))
            if due or (seconds <= longest and not poked):
                return
