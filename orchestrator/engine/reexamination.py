"""
Asks again about what is held, once another configuration is in force or a pause ends sooner.

A raised budget, a removed quiet window or a new provider may free messages that wait for an instant
of the old rules. They are asked in the order in which they would be looked at anyway, a batch at a
time and never for more than a fifth of the time, so that a hundred thousand of them hinder nobody.
The store remembers the digest of the configuration under which each bucket was asked last, and when
a pause was last eased, so a restart or a reload that changes nothing asks nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from orchestrator.core.facts import RulesChanged
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.stores.journey_rows import is_journey
from orchestrator.stores.port import Store, StoreBusy
from orchestrator.stores.rows import BEFORE_ALL_TIMERS, TimerRow

log = structlog.get_logger()

BATCH_MAX = 128
REST_SHARE = 4
REST_SECONDS_MIN = 0.05
RETRY_SECONDS = 1.0


class Reexamination:
    """One loop a process, over its share of the store. ``monotonic`` is in seconds."""

    def __init__(self, engine: Engine, store: Store, monotonic: Callable[[], float]) -> None:
        self._engine = engine
        self._store = store
        self._monotonic = monotonic
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._digest, self._buckets = "", list[int]()

    def start(self) -> None:
        """Begin with one round: the configuration may have changed while nothing ran."""
        self._asked.set()
        self._task = asyncio.create_task(self._run(), name="reexamination")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ask(self) -> None:
        """
        Another configuration is in force, or a pause was eased: begin a round, or begin the one
        under way again.
        """
        self._asked.set()

    async def _run(self) -> None:
        after: TimerRow | None = None
        while True:
            if after is None:
                await self._asked.wait()
            if self._asked.is_set():
                self._asked.clear()
                after = BEFORE_ALL_TIMERS
            assert after is not None
            started = self._monotonic()
            try:
                after = await self._batch(after) if await self._begun(after) else None
            except Stopped:
                return
            except StoreBusy as error:
                log.info("reexamination.store_busy", why=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("reexamination.failed")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if after is not None:
                    spent = self._monotonic() - started
                    await asyncio.sleep(max(REST_SECONDS_MIN, REST_SHARE * spent))

    async def _begun(self, after: TimerRow) -> bool:
        """Whether there is anything to ask: not in buckets that these rules were asked about."""
        if after is BEFORE_ALL_TIMERS:
            self._digest = self._engine.rules.digest
            eased_at = max((row.eased_at or 0 for row in await self._store.pauses()), default=0)
            if self._digest and eased_at:
                self._digest += f" {eased_at}"
            self._buckets = await self._store.unexamined(self._digest)
        return bool(self._buckets)

    async def _batch(self, after: TimerRow) -> TimerRow | None:
        """Ask about the messages after this one; the last of them, None if there are no more."""
        rows = await self._store.timers_after(after, BATCH_MAX)
        messages = [row.message for row in rows if not is_journey(row.message)]
        await self._engine.submit_many([ApplyFact(id, RulesChanged()) for id in messages])
        if rows:
            return rows[-1]
        if self._digest:
            await self._store.examined(self._buckets, self._digest)
        return None
