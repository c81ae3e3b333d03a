"""
Groups that are measured turn by turn, so that other load on the machine slows all of them alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

import asyncpg

from bench.figures import Bar, Figure
from bench.stage import Stage
from bench.worker import Absent, BenchError

FAILURES = (
    BenchError,
    OSError,
    LookupError,
    ValueError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""Errors that cost one figure and do not end the run."""


class Rounds:
    """
    A group: ``open`` once, ``turn``, ``close``; legs that fail are left out with the error's words.
    """

    name = ""
    together = False
    """
    Whether it takes turns with others; a group alone has one turn, and repeats within it as it
    likes.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.figures: dict[str, Figure] = {}

    def figure(self, key: str, what: str, unit: str, bar: Bar | None = None) -> Figure:
        """A new line of the table."""
        self.figures[key] = Figure(key, what, unit, bar=bar)
        return self.figures[key]

    async def attempt(self, work: Callable[[], Awaitable[None]], *keys: str) -> bool:
        """Do it; where it fails its figures say why, and nothing of them is kept."""
        if any(self.figures[key].why_not for key in keys):
            return False
        try:
            await work()
        except FAILURES as error:
            for key in keys:
                self.figures[key].why_not = str(error) or type(error).__name__
                self.figures[key].absent = isinstance(error, Absent)
                self.figures[key].values.clear()
            self.stage.say(f"{self.name}: {keys[0]} not measured: {error}")
            return False
        return True

    async def open(self) -> None:
        """Start what is measured."""

    async def turn(self) -> None:
        """Measure everything once."""
        raise NotImplementedError

    async def close(self) -> None:
        """End what was started."""

    def conclude(self, others: dict[str, Figure]) -> None:
        """Work out what rests on the figures of other groups of the same rounds."""
