"""
SQL in named files, and what the tables need of a driver to run it.

A file has a statement after each ``-- name: …`` line. Statements write their parameters ``$1``,
``$2``, …; for SQLite they become ``?1``, ``?2``, ….
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from orchestrator.stores.audit import AuditNote

NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
SHARED = Path(__file__).parent / "queries"


def read_queries(folder: Path) -> dict[str, str]:
    """Every statement by its name: those of both stores, and those of the files of ``folder``."""
    found: dict[str, str] = {}
    for file in (*sorted(SHARED.glob("*.sql")), *sorted(folder.glob("*.sql"))):
        _, *parts = NAME.split(file.read_text())
        found.update(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))
    return found


class Driver(ABC):
    """Runs statements by their name. The tables stand on it, so they are written once."""

    queries: ClassVar[Mapping[str, str]]
    parameter: ClassVar[str]
    """What stands before a parameter's number."""

    @property
    @abstractmethod
    def share(self) -> tuple[Any, ...]:
        """The last parameter of statements that return only this process's share; () if all do."""

    @property
    def all_shares(self) -> tuple[None, ...]:
        """What stands for ``share`` in a statement that returns the rows of all processes."""
        return (None,) * len(self.share)

    @staticmethod
    @abstractmethod
    def many(values: Collection[str]) -> Any:
        """Several texts as one parameter."""

    @abstractmethod
    async def fetch_text(self, text: str, *values: Any) -> Sequence[Any]:
        """The rows of a statement in SQL."""

    @abstractmethod
    async def execute(self, name: str, *values: Any) -> int:
        """Run a statement durably; returns how many rows it changed."""

    @abstractmethod
    async def change(self, name: str | None, values: Sequence[Any], note: AuditNote | None) -> int:
        """
        Run a statement (None: no statement), and write the note down if it changed a row, in one
        durable transaction; returns how many rows it changed.
        """

    @abstractmethod
    async def transact(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Run statements, given in SQL, one after the other in one durable transaction."""

    @abstractmethod
    async def execute_many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row, in one transaction."""

    async def fetch(self, name: str, *values: Any) -> Sequence[Any]:
        """The rows of a named statement."""
        return await self.fetch_text(self.queries[name], *values)
