"""The journeys of both stores, and what a batch writes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.stores.journey_rows import JourneyRow, StoredJourney
from orchestrator.stores.rows import Changes
from orchestrator.stores.sql import Driver


class JourneyTables(Driver):
    """Implements ``JourneyStore``."""

    async def journey(self, id: str) -> StoredJourney | None:
        rows = await self.fetch("journey", id)
        if not rows:
            return None
        lines = await self.fetch("journey_lines", id)
        return StoredJourney(JourneyRow(*rows[0]), b"".join(row[0] for row in lines))

    async def journeys(
        self,
        *,
        recipient: str | None = None,
        journey: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[StoredJourney]:
        given = {"recipient =": recipient, "journey =": journey, "status =": status, "id <": before}
        values = [value for value in given.values() if value is not None]
        asked = [clause for clause, value in given.items() if value is not None]
        clauses = [f"{clause} {self.parameter}{n}" for n, clause in enumerate(asked, start=1)]
        where = " and ".join(clauses) or "true"
        text = self.queries["journeys"].format(where=where, limit=int(limit))
        rows = await self.fetch_text(text, *values)
        return [StoredJourney(JourneyRow(*row)) for row in rows]

    async def running_journeys(self) -> dict[str, int]:
        return {row[0]: row[1] for row in await self.fetch("running_journeys")}


def journey_writes(changes: Changes) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """The statements of ``journeys.sql`` that a batch needs, with their rows."""
    if changes.journeys:
        yield "put_journey", changes.journeys
    if changes.journey_lines:
        yield "add_journey_lines", changes.journey_lines
    if changes.entered:
        yield "add_entered", changes.entered
    for table in ("journey_history", "journeys", "entered") if changes.erased else ():
        yield f"erase_{table}", [(recipient,) for recipient in changes.erased]
