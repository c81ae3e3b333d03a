"""Periodic maintenance of a process: purge, move stranded steps on, audit, count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from orchestrator.core.facts import Shut
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import ApplyFact, Forget
from orchestrator.engine.engine import Stopped
from orchestrator.engine.survey import survey
from orchestrator.engine.untimed import without_timer
from orchestrator.kafka import KafkaIntake
from orchestrator.runtime.runtime import RECENT_MINUTES, Runtime
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

PURGE_SECONDS = 60.0
PURGE_PAUSE_SECONDS = 0.1
"""Between two rounds of deletions, so that they take a third of the store's time at most."""
RETIRED_SECONDS = 60.0
COUNT_PAUSE_SECONDS = 0.02
"""Between two pages of messages that are counted."""
MOVE_ON_SECONDS = 30.0
GAUGE_SECONDS = 5.0
USED_SECONDS = 60.0
AUDIT_SECONDS = 300.0
COUNT_SECONDS = 60.0
CODES_SECONDS = 30.0
MOVE_ON_MAX = 256
PUT_OFF_MS = 60_000

Task = Callable[[], Awaitable[None]]


class Maintenance:
    """
    ``kafka`` gives the intake if there is one, ``read_keys`` reads the signing keys again,
    ``used_keys`` gives the API keys that were used and when; ``works`` is whether this process has
    a share of what waits. What fails is tried again the next time.
    """

    def __init__(
        self,
        runtime: Runtime,
        kafka: Callable[[], KafkaIntake | None],
        read_keys: Task,
        works: bool,
        used_keys: Callable[[], Sequence[tuple[str, int]]] = lambda: (),
    ) -> None:
        self._runtime = runtime
        self._store = runtime.edges.store
        self._now = runtime.edges.clock.now
        self._kafka = kafka
        self._read_keys = read_keys
        self._used_keys = used_keys
        self._works = works
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._runtime.share_receipt_counts()
        self._tasks.append(asyncio.create_task(self._left_open(), name="left_open"))
        routine: list[tuple[float, Task]] = [
            (PURGE_SECONDS, self._purge),
            (RETIRED_SECONDS, self._retired),
            (GAUGE_SECONDS, self._gauges),
            (USED_SECONDS, self._note_used_keys),
        ]
        if self._works:
            routine += [(MOVE_ON_SECONDS, self._move_on), (AUDIT_SECONDS, self.audit)]
            routine.append((AUDIT_SECONDS, self.count_unknown))
            routine.append((COUNT_SECONDS, self.count_journeys))
            routine.append((PURGE_SECONDS, self.forget_idle))
            routine.append((CODES_SECONDS, self.count_codes))
        for seconds, task in routine:
            self._tasks.append(asyncio.create_task(self._every(seconds, task)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(self._runtime.share_receipt_counts(RECENT_MINUTES), 2)
            await asyncio.wait_for(self._note_used_keys(), 2)
        except (StoreBusy, TimeoutError):
            log.info("maintenance.receipt_counts_failed")

    async def _every(self, seconds: float, task: Task) -> None:
        name = getattr(task, "__name__", "").strip("_")
        while True:
            await asyncio.sleep(seconds)
            try:
                await task()
            except Stopped:
                return
            except StoreBusy as error:
                log.info("maintenance.deferred", task=name, why=str(error))
            except Exception:
                log.exception("maintenance.failed", task=name)

    async def forget_idle(self) -> None:
        """Forget the profiles of some of the recipients: those nobody has heard of for long."""
        idle = await self._store.idle_recipients(self._now())
        commands = [Forget(id, document=document) for id, document in idle]
        await self._runtime.engine.submit_many(commands)

    async def _note_used_keys(self) -> None:
        """Store when API keys were used last: one row a key and minute, in nobody's way."""
        if used := self._used_keys():
            await self._store.use_api_keys(used)

    async def _purge(self) -> None:
        await self._read_keys()
        more = True
        while more:
            more = await self._store.purge(self._now())
            await asyncio.sleep(PURGE_PAUSE_SECONDS)

    async def _left_open(self) -> None:
        """Look once whether the configuration lacks providers whose attempts are open."""
        try:
            await self._runtime.left_open(lambda: COUNT_PAUSE_SECONDS)
        except (StoreBusy, Stopped) as error:
            log.info("maintenance.deferred", task="left_open", why=str(error))
        except Exception:
            log.exception("maintenance.failed", task="left_open")

    async def _retired(self) -> None:
        """Take no more receipts of providers that are gone and whose attempts have all ended."""
        if self._runtime.dispatcher.retired:
            await self._runtime.left_open(lambda: COUNT_PAUSE_SECONDS)
        await self._runtime.let_go()

    async def _move_on(self) -> None:
        """Move on what waits for a provider that the configuration no longer has."""
        until = self._now() + PUT_OFF_MS
        for queue in await self._store.queues():
            if queue not in self._runtime.dispatcher.providers:
                rows = await self._store.claim(queue, MOVE_ON_MAX, ())
                facts = [
                    ApplyFact(row.message, Shut(row.step, queue, Reason.BREAKER_OPEN, until))
                    for row in rows
                ]
                await self._runtime.engine.submit_many(facts)

    async def audit(self) -> None:
        """Count the messages of this process that no timer looks after."""
        found = [id async for id in without_timer(self._store, lambda: COUNT_PAUSE_SECONDS)]
        self._runtime.edges.metrics.messages_without_timer.set(len(found))
        if found:
            log.error(
                "maintenance.messages_without_timer",
                count=len(found),
                first=found[0],
                fix="kaskad messages untimed --repair",
            )

    async def count_codes(self) -> None:
        """Count the codes of the installation that are left, if a policy gives any."""
        if self._runtime.engine.rules.with_codes:
            pools = await self._store.code_pools()
            self._runtime.edges.metrics.code_pools(one[:3] for one in pools)

    async def count_unknown(self) -> None:
        """Count the sends of the installation that may or may not have left."""
        found = await survey(self._store, self._now(), lambda: COUNT_PAUSE_SECONDS)
        self._runtime.edges.metrics.unknown_unresolved.set(found.unknown)

    async def count_journeys(self) -> None:
        """Count the journeys that run."""
        running = self._runtime.edges.metrics.journeys_running
        running.clear()
        for name, count in (await self._store.running_journeys()).items():
            running.labels(name).set(count)

    async def _gauges(self) -> None:
        runtime, metrics, kafka = self._runtime, self._runtime.edges.metrics, self._kafka()
        if kafka is not None:
            metrics.kafka(kafka.connected, kafka.lag)
        metrics.store_up.set(not runtime.engine.store_away)
        now = self._now()
        metrics.pauses(row[:2] for row in await self._store.pauses() if row.holds(now))
        shut = runtime.dispatcher.shut(now)
        in_flight = {name: len(one.taken) for name, one in runtime.dispatcher.providers.items()}
        await runtime.share_receipt_counts(RECENT_MINUTES)
        if self._works:
            metrics.backlog(await self._store.depths(), shut, in_flight)
            for sink in self._store.sinks or ():
                count = await self._store.waiting_statuses(sink)
                metrics.status_backlog.labels(sink).set(count)
