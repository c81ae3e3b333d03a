"""A configured provider at work: its adapter, its rate, its slots, its breaker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestrator.channels import Adapter
from orchestrator.core.inputs import Provider
from orchestrator.dispatch.breakers import Breaker
from orchestrator.stores.port import Bucket

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


@dataclass(slots=True)
class ProviderAtWork:
    """
    ``facts`` is the provider as decisions see it. ``free`` counts connection slots; ``taken`` the ``(message, step)``
    pairs of its backlog that are in hand; ``wake`` is set when there may be something to claim.
    """

    facts: Provider
    adapter: Adapter[Any]
    bucket: Bucket | None
    breaker: Breaker
    slots: int
    cost: Cost | None = None
    free: int = 0
    taken: set[tuple[str, int]] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    throttles: int = 0

    def __post_init__(self) -> None:
        self.free = self.slots

    @property
    def name(self) -> str:
        return self.facts.name

    async def throttled(self, retry_after_ms: int | None) -> None:
        """One more request was throttled: after several in a row the whole provider pauses."""
        self.throttles += 1
        if self.throttles >= THROTTLES_IN_A_ROW and self.bucket is not None:
            await self.bucket.pause(min((retry_after_ms or 1_000) / 1000, PAUSE_MAX_SECONDS))
