"""What a store promises of journeys for people to read; the other ports are in ``port.py``."""

from __future__ import annotations

from typing import Protocol

from orchestrator.stores.journey_rows import StoredJourney


class JourneyStore(Protocol):
    """Journeys; they change by batches alone (``Changes.journeys``)."""

    async def journey(self, id: str) -> StoredJourney | None:
        """A journey with its history."""

    async def journeys(
        self,
        *,
        recipient: str | None = None,
        journey: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[StoredJourney]:
        """Journeys without history, the newest first, with an id below ``before``."""

    async def running_journeys(self) -> dict[str, int]:
        """How many of each journey run; those of all processes, at most 100 000 are counted."""
