"""The pools of codes of both stores, and what a batch writes to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import CodePlace, CodePool, FreeCode, Imported
from orchestrator.stores.rows import Changes
from orchestrator.stores.sql import Driver


class CodeTables(Driver):
    """Implements ``CodeStore``."""

    async def import_codes(
        self, pool: str, source: str, codes: Sequence[FreeCode], at: int, note: AuditNote
    ) -> list[Imported]:
        hashes = self.many([one.hash for one in codes])
        known = {hash: whose for hash, whose in await self.fetch("known_codes", pool, hashes)}
        await self.change("open_code_import", (pool, source, at), note)
        new = [one for one in codes if one.hash not in known]
        if new:
            columns = (self.many([one.hash for one in new]), self.many([one.code for one in new]))
            statements: list[tuple[str, Sequence[Any]]] = [
                (self.queries["add_codes"], (pool, source, *columns))
            ]
            if "count_codes" in self.queries:  # the other store counts them as it adds them
                statements.append((self.queries["count_codes"], (pool, source)))
            await self.transact(statements)
        return [
            Imported.RECORDED
            if one.hash not in known
            else Imported.KNOWN
            if known[one.hash] == source
            else Imported.DOUBLE
            for one in codes
        ]

    async def code_pools(self) -> list[CodePool]:
        return [CodePool(*row) for row in await self.fetch("code_pools")]

    async def code_places(self, hash: str) -> list[CodePlace]:
        return [CodePlace(*row) for row in await self.fetch("code_places", hash)]

    async def exposures(self) -> dict[tuple[str, str], list[int]]:
        return {(row[0], row[1]): [row[2], row[3]] for row in await self.fetch("exposures")}


def code_writes(changes: Changes) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """
    The statements of ``codes.sql`` that a batch needs, with their rows. A code that comes back and
    goes out again within one batch comes back first.
    """
    if changes.codes_returned:
        yield "return_codes", changes.codes_returned
    if changes.codes_taken:
        yield "take_codes", changes.codes_taken
    if changes.exposures:  # in one order, so that two batches never wait for each other
        yield (
            "add_exposures",
            [(*key, *changes.exposures[key]) for key in sorted(changes.exposures)],
        )
