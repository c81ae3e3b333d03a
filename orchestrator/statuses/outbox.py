"""
Delivers status events: reads them from the store in order and hands them to each sink, at least
once.

What a sink has taken is recorded before the next is read. A sink that fails is retried with growing
pauses. An event that it has refused for a day becomes a dead letter, so that one receiver that is
gone does not hold up the events behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from orchestrator.engine.commands import DeadLetter
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.primitives.waiting import set_within
from orchestrator.stores.port import OutboxStore, StoreBusy
from orchestrator.stores.rows import StatusEvent

log = structlog.get_logger()

BATCH_MAX = 200
IDLE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
STOP_SECONDS = 3
GIVE_UP_MS = 24 * 3_600_000


class Gone(Exception):
    """The receiver says that it will never take anything again (410)."""


class Sink(Protocol):
    """A receiver of status events."""

    name: str

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def deliver(self, events: Sequence[StatusEvent]) -> int:
        """Returns how many events, from the first on, were taken for good. Raises ``Gone``."""


class Outbox:
    """
    One loop for each sink; ``now`` returns UTC milliseconds. ``on_state`` is called with a sink's
    name and whether it took what it was handed last.
    """

    def __init__(
        self,
        engine: Engine,
        store: OutboxStore,
        sinks: Sequence[Sink],
        now: Callable[[], int],
        on_state: Callable[[str, bool], None] = lambda sink, up: None,
    ) -> None:
        self._on_state = on_state
        self.engine = engine
        self.store = store
        self.sinks = sinks
        self._now = now
        self._pokes = [asyncio.Event() for _ in sinks]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        for sink, poked in zip(self.sinks, self._pokes, strict=True):
            task = asyncio.create_task(self._run(sink, poked), name=f"statuses:{sink.name}")
            self._tasks.append(task)

    async def stop(self) -> None:
        """Finish the delivery under way; the next start goes on from there."""
        self._stopping = True
        self._stopped.set()
        self.poke()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for sink in self.sinks:
            await sink.close()

    def poke(self) -> None:
        """Look for new events now."""
        for poked in self._pokes:
            poked.set()

    async def _run(self, sink: Sink, poked: asyncio.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        failing_since: int | None = None
        opened = gone = False
        self._on_state(sink.name, True)
        while not self._stopping:
            poked.clear()
            try:
                if not opened:
                    await sink.open()
                    opened = True
                events = await self.store.outbox(sink.name, BATCH_MAX)
                if not events:
                    await set_within(poked, IDLE_SECONDS)
                    continue
                if taken := await self._deliver(sink, events):
                    self._on_state(sink.name, True)
                    await self._record(sink, events[:taken])
                    pause, failing_since, gone = FIRST_PAUSE_SECONDS, None, False
                    continue
                self._on_state(sink.name, False)
                failing_since = failing_since if failing_since is not None else self._now()
                if self._now() - failing_since > GIVE_UP_MS:
                    await self._dead_letter(sink, events[0])
                    failing_since = None
            except Gone:
                # a 410 may be a mistake of those who run the receiver, so it is asked again
                self._on_state(sink.name, False)
                pause = LONGEST_PAUSE_SECONDS
                if not gone:
                    log.error("statuses.sink_rejected", sink=sink.name)
                gone = True
            except Stopped:
                return
            except StoreBusy as error:
                log.info("statuses.store_busy", sink=sink.name, why=str(error))
            except Exception:
                log.exception("statuses.failed", sink=sink.name)
            await set_within(self._stopped, pause)  # more events are no reason to try sooner
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _deliver(self, sink: Sink, events: Sequence[StatusEvent]) -> int:
        """
        How many events the sink has taken. If it fails in a way that nobody foresaw, the first one
        is tried alone: it may be the fault of one behind it.
        """
        try:
            return await sink.deliver(events)
        except Gone:
            raise
        except Exception:
            log.exception("statuses.failed", sink=sink.name)
        return await self._deliver(sink, events[:1]) if len(events) > 1 else 0

    async def _record(self, sink: Sink, events: Sequence[StatusEvent]) -> None:
        await self.store.delivered(sink.name, [event.sequence for event in events])

    async def _dead_letter(self, sink: Sink, event: StatusEvent) -> None:
        detail = f"{sink.name} has not taken this status event for a day"
        origin = f"statuses:{sink.name}"
        await self.engine.submit(DeadLetter(origin, "status_undelivered", detail, event.body))
        await self._record(sink, [event])
