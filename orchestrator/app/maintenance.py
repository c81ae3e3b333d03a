"""
What a process does every few seconds or minutes, beside its work: tidying, sweeping, counting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from orchestrator.core.facts import Shut
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.outage import DAY_MINUTES, OutageDetector
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.kafka import KafkaIntake
from orchestrator.primitives.clock import Clock
from orchestrator.stores.port import Store, StoreBusy
from orchestrator.telemetry.metrics import Metrics

log = structlog.get_logger()

TIDY_SECONDS = 60.0
SWEEP_SECONDS = 30.0
GAUGE_SECONDS = 5.0
RECENT_MINUTES = 30
SWEEP_MAX = 256
PUT_OFF_MS = 60_000


class Maintenance:
    """
    ``kafka`` gives the intake where there is one, ``keys`` reads the signing keys again; ``works``:
    this process has a share of what waits. What fails is tried again the next time.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        dispatcher: Dispatcher,
        watch: OutageDetector,
        metrics: Metrics,
        clock: Clock,
        kafka: Callable[[], KafkaIntake | None],
        keys: Callable[[], Awaitable[None]],
        works: bool,
    ) -> None:
        self._engine = engine
        self._store = store
        self._dispatcher = dispatcher
        self._watch = watch
        self._metrics = metrics
        self._clock = clock
        self._kafka = kafka
        self._read_keys = keys
        self._works = works
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._share_counts(DAY_MINUTES)
        maintenance = [(TIDY_SECONDS, self._tidy), (GAUGE_SECONDS, self._gauges)]
        if self._works:
            maintenance.append((SWEEP_SECONDS, self._sweep))
        for seconds, chore in maintenance:
            self._tasks.append(
                asyncio.create_task(self._every(seconds, chore), name=chore.__name__.strip("_"))
            )

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(self._share_counts(RECENT_MINUTES), 2)
        except (StoreBusy, TimeoutError):
            log.info("maintenance.counts_failed")

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await chore()
            except Stopped:
                return
            except StoreBusy as error:
                log.info("maintenance.deferred", chore=chore.__name__, why=str(error))
            except Exception:
                log.exception("maintenance.failed", chore=chore.__name__)

    async def _tidy(self) -> None:
        await self._read_keys()
        await self._store.tidy(self._clock.now())

    async def _sweep(self) -> None:
        """Move on what waits for a provider that the configuration no longer has."""
        until = self._clock.now() + PUT_OFF_MS
        for queue in await self._store.queues():
            if queue not in self._dispatcher.providers:
                rows = await self._store.claim(queue, SWEEP_MAX, ())
                facts = [
                    ApplyFact(row.message, Shut(row.step, queue, Reason.BREAKER_OPEN, until))
                    for row in rows
                ]
                await self._engine.submit_many(facts)

    async def _gauges(self) -> None:
        kafka = self._kafka()
        if kafka is not None:
            self._metrics.kafka(kafka.connected, kafka.lag)
        self._metrics.store_up.set(not self._engine.away)
        shut = self._dispatcher.shut(self._clock.now())
        in_flight = {name: len(one.taken) for name, one in self._dispatcher.providers.items()}
        await self._share_counts(RECENT_MINUTES)
        if self._works:
            self._metrics.backlog(await self._store.depths(), shut, in_flight)

    async def _share_counts(self, minutes: int) -> None:
        """
        What this process has counted of sends and deliveries for the others, and theirs for this
        one.
        """
        news = self._watch.take_news()
        try:
            if news:
                await self._store.count_receipts(news)
            if self._store.shared or minutes > RECENT_MINUTES:
                self._watch.know(
                    await self._store.receipt_counts(self._clock.now() // 60_000 - minutes)
                )
        except BaseException:
            self._watch.put_back(news)
            raise
