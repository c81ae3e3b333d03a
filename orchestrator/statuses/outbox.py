"""
Status events out: read from the store in order, handed to each sink, at least once.

What a sink has taken is written down before the next is read. A sink that fails is tried again,
ever more slowly; what it has refused for a day goes to the dead letters, so that one receiver that
is gone does not hold up those that come after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from orchestrator.engine.commands import DeadLetter
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.stores.port import Store, StoreBusy

log = structlog.get_logger()

BATCH_MAX = 200
IDLE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
GIVE_UP_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """``id`` is the CloudEvent's own; ``body`` its JSON, exactly as it is sent and signed."""

    sequence: int
    id: str
    recipient: str
    body: bytes


class Gone(Exception):
    """The receiver said that it will never take anything again (410)."""


class Sink(Protocol):
    """``deliver`` returns how many of the events, from the first on, were taken for good."""

    name: str

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def deliver(self, events: Sequence[StatusEvent]) -> int: ...


class Outbox:
    """One loop a sink."""

    def __init__(
        self, engine: Engine, store: Store, sinks: Sequence[Sink], now: Callable[[], int]
    ) -> None:
        self.engine = engine
        self.store = store
        self.sinks = sinks
        self._now = now
        self._news = [asyncio.Event() for _ in sinks]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        for sink, news in zip(self.sinks, self._news, strict=True):
            self._tasks.append(
                asyncio.create_task(self._run(sink, news), name=f"statuses:{sink.name}")
            )

    async def stop(self) -> None:
        """Stop after what is being delivered; the rest is delivered at the next start."""
        self._stopping = True
        self.poke()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=3)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for sink in self.sinks:
            await sink.close()

    def poke(self) -> None:
        for news in self._news:
            news.set()

    async def _run(self, sink: Sink, news: asyncio.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        failing_since: int | None = None
        opened = False
        while not self._stopping:
            news.clear()
            try:
                if not opened:
                    await sink.open()
                    opened = True
                events = [
                    StatusEvent(*row) for row in await self.store.outbox(sink.name, BATCH_MAX)
                ]
                if not events:
                    await self._rest(news, IDLE_SECONDS)
                    continue
                taken = await sink.deliver(events)
                if taken:
                    await self.store.delivered(
                        sink.name, [event.sequence for event in events[:taken]]
                    )
                    pause, failing_since = FIRST_PAUSE_SECONDS, None
                    continue
                failing_since = failing_since if failing_since is not None else self._now()
                if self._now() - failing_since > GIVE_UP_MS:
                    await self._bury(sink, events[0])
                    failing_since = None
            except Gone:
                log.error("statuses.sink_rejected", sink=sink.name)
                return
            except Stopped:
                return
            except StoreBusy as error:
                log.info("statuses.store_busy", sink=sink.name, why=str(error))
            except Exception:
                log.exception("statuses.failed", sink=sink.name)
            await self._rest(news, pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _rest(self, news: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(news.wait(), seconds)
        except TimeoutError:
            return

    async def _bury(self, sink: Sink, event: StatusEvent) -> None:
        detail = f"{sink.name} has not taken this status event for a day"
        await self.engine.submit(
            DeadLetter(f"statuses:{sink.name}", "status_undelivered", detail, event.body)
        )
        await self.store.delivered(sink.name, [event.sequence])
