"""The dead letters of both stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from orchestrator.stores.audit import AuditNote
from orchestrator.stores.rows import DeadLetterRow
from orchestrator.stores.sql import Driver


class DeadLetterTable(Driver):
    """Implements ``DeadLetterStore``."""

    async def dead_letters(
        self, before: str | None, limit: int, reason: str | None = None, since: str | None = None
    ) -> list[DeadLetterRow]:
        rows = await self.fetch("dead_letters", before or "~", limit, reason or "", since or "")
        return [dead_letter_row(row) for row in rows]

    async def open_dead_letters(self) -> int:
        return int((await self.fetch("open_dead_letters"))[0][0])

    async def dead_letter(self, id: str) -> DeadLetterRow | None:
        rows = await self.fetch("dead_letter", id)
        return dead_letter_row(rows[0]) if rows else None

    async def resolve_dead_letter(self, id: str, at: int) -> None:
        await self.execute("resolve_dead_letter", at, id)

    async def delete_dead_letter(self, id: str, note: AuditNote | None = None) -> bool:
        return await self.change("delete_dead_letter", (id,), note) == 1


def dead_letter_row(row: Sequence[Any]) -> DeadLetterRow:
    return DeadLetterRow(*row)._replace(headers=orjson.loads(row[5]))
