"""Stays connected to Kafka: one session after another, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import structlog

from orchestrator.engine.engine import Stopped
from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.clients import diagnose
from orchestrator.kafka.consumer import GroupConsumer
from orchestrator.kafka.dead_letters import DeadLetterTopic
from orchestrator.kafka.hand_over import Acceptor, HandOver, OnPublished
from orchestrator.kafka.session import Session
from orchestrator.primitives.clock import SystemClock
from orchestrator.primitives.waiting import set_within

log = structlog.get_logger()

P = ParamSpec("P")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STABLE_SECONDS = 60.0
STOP_PARTS = 4  # a stop waits for records, a commit, leaving the group and the producer


class KafkaIntake:
    """
    One member of the consumer group. Earlier ``topics`` come first: a later one waits while an
    earlier one has more. ``security`` are connection options of the client library. ``on_status``
    gets the status of each event, ``on_error`` the kind of each error (``clients.DIAGNOSES``).

    A broker that is unreachable, refuses us or lacks a topic does not fail the start: the intake
    tries again, every 15 seconds in the end; ``connected``, the log and ``on_error`` say so.
    """

    def __init__(
        self,
        engine: Acceptor,
        *,
        bootstrap_servers: str,
        topics: Sequence[str],
        group: str,
        dead_letters: str | None,
        security: Mapping[str, Any],
        auto_offset_reset: str = "earliest",
        on_status: Callable[..., None] = lambda status, *warnings: None,
        on_error: Callable[[str], None] = lambda kind: None,
        bounds: Bounds | None = None,
        now: Callable[[], int] | None = None,
        on_published: OnPublished | None = None,
    ) -> None:
        self._now = now or SystemClock().now
        self._engine = engine
        self._topics = list(topics)
        self._options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers, **security}
        self._group = group
        self._dead_letters = dead_letters
        self._reset = auto_offset_reset
        self._on_status = harmless(on_status)
        self._on_error = harmless(on_error)
        self._on_published = on_published
        self._bounds = bounds or Bounds()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None

    @property
    def connected(self) -> bool:
        """True while this process is in the group and the broker answers."""
        return self._session is not None and self._session.connected

    @property
    def lag(self) -> Mapping[tuple[str, int], int]:
        """The records that are not durable yet, by topic and partition of this process."""
        return dict(self._session.lag) if self._session is not None else {}

    async def start(self) -> None:
        """Begin to connect, without waiting for it."""
        self._task = asyncio.create_task(self._run(), name="kafka")

    async def stop(self) -> None:
        """Finish records in flight within the bound, commit them, and leave the group."""
        self._stopping.set()
        if self._task is None:
            return
        seconds = self._bounds.stop_seconds * STOP_PARTS
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        if not done:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        now = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            began = now()
            try:
                await self._run_session()
            except Stopped:
                return
            except Exception as error:
                await self._report(error)
            stable = now() - began > STABLE_SECONDS
            pause = FIRST_PAUSE_SECONDS if stable else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await set_within(self._stopping, pause)

    async def _run_session(self) -> None:
        """Run one session with its own clients."""
        bounds = self._bounds
        dead_letters = DeadLetterTopic(
            self._dead_letters, self._options, bounds.dead_letter_seconds, self._on_error
        )
        hand_over = HandOver(
            self._engine, dead_letters, bounds, self._on_status, self._now, self._on_published
        )
        consumer = GroupConsumer(self._options, self._group, self._reset, bounds)
        self._session = Session(consumer, hand_over, self._topics, bounds, self._on_error)
        try:
            await self._session.run(self._stopping)
        finally:
            self._session = None
            await dead_letters.close()

    async def _report(self, error: Exception) -> None:
        """Count and log an error, with how to fix it."""
        found = await diagnose(self._options, error)
        self._on_error(found.kind)
        unexpected = error if found.kind == "other" else None
        log.warning("kafka.failed", reason=found.kind, error=found.text, exc_info=unexpected)


def harmless(notify: Callable[P, None]) -> Callable[P, None]:
    """The same callback, whose failure is logged: a record is settled whatever becomes of it."""

    def notify_harmlessly(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            notify(*args, **kwargs)
        except Exception:
            log.exception("kafka.observer_failed")

    return notify_harmlessly
