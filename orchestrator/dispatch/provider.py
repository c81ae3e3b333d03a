"""A configured provider at work: its adapter, its rate, its slots, its breaker."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from orchestrator.channels import Adapter
from orchestrator.core.inputs import Provider
from orchestrator.core.outcomes import Accepted, Outcome, Refused
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.breakers import Breaker
from orchestrator.stores.port import ALL_LANES, URGENT, Bucket, ReadyRow

log = structlog.get_logger()

THROTTLES_IN_A_ROW = 3
PAUSE_MAX_SECONDS = 60.0


@dataclass(slots=True)
class Cost:
    """What one message, or one part of it, costs; in the installation's currency."""

    amount: Decimal
    per: str = "message"

    def of(self, parts: int | None) -> str:
        """The price of one message in ``parts`` parts, as a decimal string."""
        return str(self.amount * (parts or 1) if self.per == "part" else self.amount)


HINTS_MAX = 1_000
"""So many codes wait here without being claimed; more are found by those to whom they fall."""
KEPT_SHARE = 8
"""One slot in so many is kept for codes, and at least one where there are two."""


@dataclass(slots=True)
class ProviderQueue:
    """
    A part of a provider's backlog that is served by itself: codes, or everything else. ``lanes``
    are the first and the last of them; ``wake`` is set when there may be something to claim;
    ``short`` is whether it found no slot. ``hinted`` are rows that this process has just written,
    and sends itself, wherever they fall to.
    """

    urgent: bool
    lanes: tuple[int, int]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    short: bool = False
    hinted: deque[ReadyRow] = field(default_factory=deque)


@dataclass(slots=True)
class ProviderAtWork:
    """
    ``facts`` is the provider as decisions see it. ``free`` counts connection slots; ``taken`` the
    ``(message, step)`` pairs of its backlog that are in hand. ``otp`` and ``others`` are served
    side by side, so that no code waits for what is being done about anything else; the last few
    slots are for codes alone.
    """

    facts: Provider
    adapter: Adapter[Any]
    bucket: Bucket | None
    breaker: Breaker
    slots: int
    cost: Cost | None = None
    free: int = 0
    taken: set[tuple[str, int]] = field(default_factory=set)
    otp: ProviderQueue = field(default_factory=lambda: ProviderQueue(True, (URGENT, URGENT)))
    others: ProviderQueue = field(
        default_factory=lambda: ProviderQueue(False, (URGENT + 1, ALL_LANES[1]))
    )
    throttles: int = 0

    def __post_init__(self) -> None:
        self.free = self.slots

    @property
    def name(self) -> str:
        return self.facts.name

    def take_hinted(self, line: ProviderQueue, most: int) -> list[ReadyRow]:
        """Rows of a line that need not be claimed; those that are in hand are left for later."""
        rows = [row for row in line.hinted if (row.message, row.step) not in self.taken][:most]
        for row in rows:
            line.hinted.remove(row)
        return rows

    @property
    def lines(self) -> tuple[ProviderQueue, ProviderQueue]:
        return self.otp, self.others

    @property
    def kept(self) -> int:
        """How many slots are for codes alone."""
        return min(self.slots - 1, max(1, self.slots // KEPT_SHARE))

    def room(self, line: ProviderQueue) -> int:
        """How many slots a line may take now."""
        return self.free if line.urgent else self.free - self.kept

    def wake_all(self) -> None:
        for line in self.lines:
            line.wake.set()

    def hold(self, line: ProviderQueue, most: int) -> int:
        """
        Take up to ``most`` slots for a line; how many there were. Where there was none it is woken
        once there is.
        """
        held = max(0, min(self.room(line), most))
        self.free -= held
        line.short = held == 0
        return held

    def release_cap(self, slots: int) -> None:
        """Slots are free again."""
        self.free += slots
        for line in self.lines:
            if line.short and self.room(line) > 0:
                line.short = False
                line.wake.set()

    def learn(self, outcome: Outcome, now: int) -> None:
        """What an answer says about the provider itself."""
        self.breaker.record(outcome, now)
        if isinstance(outcome, Accepted):
            self.throttles = 0
        elif isinstance(outcome, Refused) and outcome.reason is Reason.REFUSED_CONFIGURATION:
            self.breaker.force_open(now)
            log.error("provider.configuration_refused", provider=self.name, code=outcome.code)

    async def throttled(self, retry_after_ms: int | None) -> None:
        """One more request was throttled: after several in a row the whole provider pauses."""
        self.throttles += 1
        if self.throttles >= THROTTLES_IN_A_ROW and self.bucket is not None:
            await self.bucket.pause(min((retry_after_ms or 1_000) / 1000, PAUSE_MAX_SECONDS))
