"""
Faults between any two steps of a process (it dies, it freezes, its disk fails), and the store it
writes to.

A process that has died does nothing any more: whatever its tasks still try ends in ``Gone`` before
it reaches the store or a provider. What the next one finds is the bytes that were committed, and
nothing else.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from random import Random
from typing import TypeVar

from orchestrator.stores.rows import ALL_LANES, Changes, Loaded, ReadyRow, Wanted
from orchestrator.stores.sqlite.store import SqliteStore
from tests.simulation.options import Options
from tests.simulation.truth import Committed, Ledger

STEPS = (
    "load",
    "claim",
    "before_commit",
    "after_commit",
    "before_write",
    "after_write",
    "before_answer",
)
CRASHES_MAX = 8
T = TypeVar("T")


class Gone(BaseException):
    """This process is dead. No handler for ordinary errors may get hold of it."""


class DiskError(sqlite3.OperationalError):
    """A failure that was ordered by the simulation."""


class Gate:
    """
    One process's fault line; every step of it passes here. ``die`` is called when it is to die at
    this very step.

    ``calm`` switches every fault off, for the second half of a run.
    """

    def __init__(self, options: Options, rng: Random, die: Callable[[str], None]) -> None:
        self._options = options
        self._rng = rng
        self._die = die
        self._freeze: tuple[str, float] | None = None
        self._frozen_until = 0.0
        self.crashes_left = CRASHES_MAX
        self.dead = False
        self.calm = False

    def freeze_at(self, step: str, seconds: float) -> None:
        """Stop the process for so long when it next comes to a step."""
        self._freeze = (step, seconds)

    @property
    def frozen_until(self) -> float:
        """Until which virtual second the process does nothing."""
        return self._frozen_until

    def alive(self) -> None:
        """Raises ``Gone`` in a process that is dead."""
        if self.dead:
            raise Gone

    async def step(self, name: str) -> None:
        """Come to a step: perhaps slowly, perhaps never."""
        self.alive()
        if self.calm:
            return
        loop = asyncio.get_running_loop()
        if self._options.store_seconds and name in (
            "load",
            "claim",
            "before_commit",
            "after_commit",
        ):
            await asyncio.sleep(self._rng.expovariate(1 / self._options.store_seconds))
        if self._freeze is not None and self._freeze[0] == name:
            self._frozen_until = loop.time() + self._freeze[1]
            self._freeze = None
        while (left := self._frozen_until - loop.time()) > 0:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(left + 1e-6)
        self.alive()
        if (
            self._options.crash_rate
            and self.crashes_left
            and self._rng.random() < self._options.crash_rate
        ):
            self._die(name)
            raise Gone

    def disk_fails(self) -> str | None:
        """
        ``before``: nothing was written; ``after``: everything was, and yet it looks as if not.
        """
        if self.calm:
            return None
        drawn = self._rng.random()
        if drawn < self._options.commit_fails_rate:
            return "before"
        if drawn < self._options.commit_fails_rate + self._options.commit_lies_rate:
            return "after"
        return None


NOTHING: tuple[Changes | None, bool] = (None, False)
"""The changes being committed and whether the disk will lie about them, or None."""


class WatchedStore(SqliteStore):
    """
    The production store in memory. ``kept`` are the bytes that the process before has left.

    What becomes durable is noted in the ledger in the same instant.
    """

    def __init__(self, gate: Gate, ledger: Ledger, kept: bytes | None) -> None:
        super().__init__(":memory:", inline=True)
        self._gate = gate
        self._ledger = ledger
        self._kept = kept
        self._committing = NOTHING

    async def open(self) -> None:
        await super().open()
        if self._kept is not None:
            self._writer.deserialize(self._kept)

    def committed_bytes(self) -> bytes:
        """The database as a power cut would leave it."""
        return self._writer.serialize()

    async def load(self, wanted: Wanted) -> Loaded:
        await self._gate.step("load")
        return await super().load(wanted)

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[tuple[str, int]],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        await self._gate.step("claim")
        return await super().claim(queue, limit, taken, lanes)

    async def commit(self, changes: Changes) -> None:
        await self._gate.step("before_commit")
        failure = self._gate.disk_fails()
        if failure == "before":
            self._ledger.note("disk", "a commit fails")
            raise DiskError("disk I/O error")
        self._committing = (changes, failure == "after")
        await super().commit(changes)

    async def _finish(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Once it is durable everybody can see it, before the committer gets the answer."""
        result = await super()._finish(work)
        changes, lies = self._committing
        self._committing = NOTHING
        if changes is not None:
            self._note(changes)
            if lies:
                self._ledger.note("disk", "a commit succeeds, and looks as if it had failed")
                raise DiskError("disk I/O error")
            await self._gate.step("after_commit")
        return result

    def _note(self, changes: Changes) -> None:
        for message in (*(row[0] for row in changes.created), *(row[0] for row in changes.changed)):
            created = not self._ledger.known(message.id)
            name = self._ledger.alias(message.id)
            text = (
                f"{name} {message.status.value}{f' ({message.reason})' if message.reason else ''}"
            )
            if message.attempts:
                last = message.attempts[-1]
                text += (
                    f"; attempt {last.number} {last.channel} by {last.provider}:"
                    f" {last.outcome.value}, {last.state.value}"
                )
            if created:
                text += f": {message.policy} for {message.recipient}, {message.event_id}"
            moment = self._ledger.note("committed", text)
            row = (
                message.id,
                message.status.value,
                tuple(message.flags),
                len(message.attempts),
                created,
            )
            self._ledger.commits.append(Committed(moment, *row))
