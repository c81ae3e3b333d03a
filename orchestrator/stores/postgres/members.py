"""
The processes that share a store: each looks after its own buckets and wakes the others.

Each process updates its row every few seconds. The buckets are divided among those that have done
so recently, by the highest random weight, so that when one joins or dies only its own share moves.
Every process computes this alone. For a moment two may look after the same bucket, which costs a
little work and nothing else, because a message is decided under its recipient's lock.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from typing import Any

import structlog

from orchestrator import __version__
from orchestrator.stores.port import URGENT_WORD, StoreBusy
from orchestrator.stores.postgres.database import PostgresDatabase
from orchestrator.stores.postgres.session import connect, translated
from orchestrator.stores.rows import BUCKETS, URGENT, Changes, MemberRow

log = structlog.get_logger()

CHANNEL = "kaskad_wake"
"""Of LISTEN and NOTIFY; a payload is the sender's name, a space, and what ``on_wake`` gets."""
BEAT_SECONDS = 3.0
DEAD_AFTER_SECONDS = 15.0
"""How long a process may be silent, by the database's clock, before its work is taken over."""
CLOSE_SECONDS = 5
LEAVE_SECONDS = 2
WAKE_PAUSE_SECONDS = 0.01
SOON_MS = 1_500
"""A timer that is due sooner is announced to its process; later ones are found by polling."""


class PostgresMembership(PostgresDatabase):
    """Implements ``MembershipStore``."""

    shared = True

    _members: tuple[str, ...] = ()
    _buckets: tuple[int, ...] | None = None
    _mine: frozenset[int] = frozenset()
    _words: frozenset[str] = frozenset()
    """What is to be announced."""
    _announcing: asyncio.Task[None] | None = None
    _beating: asyncio.Task[None] | None = None
    _listener: Any = None
    _wake: Callable[[str], None] = staticmethod(lambda word: None)

    @property
    def share(self) -> tuple[tuple[int, ...] | None]:
        return (self._buckets,)

    @property
    def slot(self) -> int:
        """The slot of its counts: its place among the members, so that no two share one."""
        return self._members.index(self.member) if self.member in self._members else 0

    async def join(self) -> None:
        await self._beat()
        self._beating = asyncio.create_task(self._keep_beating(), name="store:members")

    async def members(self) -> list[MemberRow]:
        return [MemberRow(*row) for row in await self.fetch("members")]

    async def leave(self) -> None:
        """Sign off, so that the others take over at once."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        self._beating = None
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.execute("leave", self.member)
                await self._notify("members")
        except (StoreBusy, TimeoutError):
            log.info("store.leave_failed", member=self.member)

    async def close(self) -> None:
        await self.leave()
        if self._announcing is not None:
            await asyncio.gather(self._announcing, return_exceptions=True)
        if self._listener is not None:
            self._listener.terminate()
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    def on_wake(self, wake: Callable[[str], None]) -> None:
        self._wake = wake

    def announce(self, changes: Changes) -> None:
        """Wake the processes that a batch has left work to; several batches share one call."""
        if self._members == (self.member,):
            return
        theirs = {id for id, bucket in changes.buckets.items() if bucket not in self._mine}
        works = self._beating is not None
        words = {
            f"{URGENT_WORD}{row.queue}" if row.lane == URGENT else row.queue
            for row in changes.ready_in
            # OTP is sent by the process that accepted it, if that one sends at all
            if row.message in theirs and not (row.lane == URGENT and works)
        }
        soon = changes.at + SOON_MS
        if any(timer.message in theirs and timer.due_at < soon for timer in changes.timers_in):
            words.add("timers")
        self._words |= words
        if self._words and (self._announcing is None or self._announcing.done()):
            self._announcing = asyncio.create_task(self._announce(), name="store:wake")

    async def announce_pauses(self) -> None:
        """Wake every process: a pause has begun or ended. They would find out a minute later."""
        self._wake("pauses")
        try:
            await self._notify("pauses")
        except StoreBusy as error:
            log.info("store.wake_failed", why=str(error))

    async def _announce(self) -> None:
        await asyncio.sleep(WAKE_PAUSE_SECONDS)
        words, self._words = sorted(self._words), frozenset()
        try:
            await self._notify(*words)
        except StoreBusy as error:
            log.info("store.wake_failed", why=str(error))

    async def _notify(self, *words: str) -> None:
        await self.fetch("notify", CHANNEL, [f"{self.member} {word}" for word in words])

    def _on_notify(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        sender, _, word = payload.partition(" ")
        if sender == self.member:
            return
        if word == "members" and self._beating is not None:
            asyncio.get_running_loop().create_task(self._beat())
            return
        self._wake(word)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._beat()
            except StoreBusy as error:
                log.warning("store.unreachable", why=str(error))

    async def _beat(self) -> None:
        """Note that this process is alive, see which others are, and keep listening to them."""
        others = await self.fetch("beat", self.member, DEAD_AFTER_SECONDS, __version__)
        members = tuple(sorted({self.member, *(row[0] for row in others)}))
        if members != self._members:
            self._buckets = share_of(self.member, members)
            self._mine = frozenset(self._buckets or ())
            own = len(self._buckets) if self._buckets is not None else None
            log.info("store.members_changed", members=len(members), buckets=own)
            joined = self.member not in self._members
            self._members = members
            if joined:
                await self._notify("members")
            self._wake("members")
        if self._listener is None or self._listener.is_closed():
            async with translated():
                self._listener = await connect(self._url)
                await self._listener.add_listener(CHANNEL, self._on_notify)
            self._wake("pauses")  # a word may have been lost while nobody listened


def share_of(member: str, members: Collection[str]) -> tuple[int, ...] | None:
    """The buckets that fall to ``member``; None if it is alone and has all of them."""
    others = [other for other in members if other != member]
    if not others:
        return None
    return tuple(
        bucket
        for bucket in range(BUCKETS)
        if weight(member, bucket) > max(weight(other, bucket) for other in others)
    )


def weight(member: str, bucket: int) -> bytes:
    """The strength with which a member attracts a bucket: random, and the same in every process."""
    return hashlib.blake2b(f"{bucket}:{member}".encode(), digest_size=8).digest()
