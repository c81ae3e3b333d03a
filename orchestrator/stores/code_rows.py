"""
Pools of codes: rows and ports. Times are UTC milliseconds.

A code is worth money, so it stands in the store as it is only while it is free. Once a message has
it, only its keyed hash stays; the code itself is with the message's event, which an erasure
deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from orchestrator.stores.audit import AuditNote


class FreeCode(NamedTuple):
    """A code that no message has, with its keyed hash."""

    hash: str
    code: str


class TakenCode(NamedTuple):
    """A code that a message has got."""

    pool: str
    hash: str
    message: str
    at: int


class ReturnedCode(NamedTuple):
    """A code that a message has given back."""

    pool: str
    hash: str
    message: str
    code: str


class CodePool(NamedTuple):
    """How many codes were ever imported into a pool, and how many are free."""

    pool: str
    imported: int
    free: int
    imported_at: int


class CodePlace(NamedTuple):
    """Where a code is: ``message`` and ``taken_at`` are None while it is free."""

    pool: str
    message: str | None
    taken_at: int | None
    imported_at: int


class Imported(StrEnum):
    """What became of a code of an import; ``KNOWN``: an earlier try of the same one has it."""

    RECORDED = "recorded"
    KNOWN = "known"
    DOUBLE = "double"


class CodeStore(Protocol):
    """Codes that are imported, counted and looked up; batches take them and give them back."""

    async def import_codes(
        self, pool: str, source: str, codes: Sequence[FreeCode], at: int, note: AuditNote
    ) -> list[Imported]:
        """
        Add codes, each of another hash; one that the pool has already is a double, unless the same
        ``source`` brought it. The note is written with the first codes of a source.
        """

    async def code_pools(self) -> list[CodePool]:
        """All of them, by name."""

    async def exposures(self) -> dict[tuple[str, str], list[int]]:
        """
        By experiment and arm: how many people have met it, and with how many it has succeeded.
        """

    async def code_places(self, hash: str) -> list[CodePlace]:
        """The pools that have a code of this hash."""
