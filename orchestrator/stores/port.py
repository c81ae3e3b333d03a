"""
What a store promises the engine.

One transaction a batch: ``load`` what the batch touches, decide, ``commit`` everything at once. What ``commit`` has
returned from is durable; what it raised from is not there, or (``CommitUnclear``) may be.

Everything a store keeps about a recipient can be found by its ``bucket``, so that a store can be split by recipient.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.core.message import Message

BUCKETS = 1024
LANES = {"otp": 0, "transactional": 1, "service": 2, "promotional": 3}
"""The backlog's priority by message class."""


def bucket_of(recipient: str) -> int:
    """Where a recipient's rows belong: ``0 ≤ bucket < 1024``, the same in every process and release."""
    return zlib.crc32(recipient.encode()) % BUCKETS


class StoreBusy(Exception):
    """The database is there but has no time; nothing was written."""


class StoreInUse(Exception):
    """Another process has the embedded store open for writing."""


class NeedsMigration(OSError):
    """The schema is older than this release, and `migrate: manual` forbids to change it."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event that was seen before."""

    digest: bytes
    messages: tuple[str, ...]
    status: str


@dataclass(slots=True)
class MessageRow:
    """A message with its event: ``event`` is ``{"ce": {…attributes}, "data": {…}}``."""

    message: Message
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReadyRow:
    """One step that waits in the backlog of ``queue`` (a provider's name)."""

    queue: str
    lane: int
    since: int
    message: str
    step: int


@dataclass(slots=True)
class Wanted:
    """What a batch needs to see. Messages bring their recipients, recipients bring nothing else."""

    events: set[tuple[str, str]] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    references: set[tuple[str, str]] = field(default_factory=set)
    contacts: set[tuple[str, str]] = field(default_factory=set)
    orphans: set[tuple[str, str]] = field(default_factory=set)
    recipients: set[str] = field(default_factory=set)
    live_of: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    dedupes: set[tuple[str, str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Loaded:
    """
    What was found. ``references`` and ``contacts`` give ``(message, attempt)``; ``orphans`` the receipts that came before
    their reference; ``live_of`` the ids of a recipient's unfinished messages; ``dedupes`` ``(message, until)``.
    """

    events: dict[tuple[str, str], EventRow] = field(default_factory=dict)
    messages: dict[str, MessageRow] = field(default_factory=dict)
    references: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    contacts: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    orphans: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    recipients: dict[str, dict[str, Any]] = field(default_factory=dict)
    live_of: dict[str, list[str]] = field(default_factory=dict)
    addresses: dict[str, dict[str, Any]] = field(default_factory=dict)
    dedupes: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Changes:
    """
    Everything one batch writes.

    ``events``: ``(source, id, digest, status, message ids, at)``; ``created``: message, event document, history;
    ``changed``: message, history to append; ``ready_in``/``ready_out`` and ``timers_in``/``timers_out`` are rows to add
    and remove (timers as ``(due_at, message)``); ``references``: ``(provider, reference, message, attempt)``;
    ``contacts``: ``(address hash, channel, message, attempt, at)``; ``orphans``: ``(provider, reference, at, receipt)``;
    ``raw_receipts``: ``(at, provider, body)``;
    ``dedupes``: ``(policy, recipient, key, message, until)``; ``outbox``: ``(id, recipient, body)``;
    ``dead_letters``: rows as dicts; ``erased``: recipient ids; ``spent``: ``(channel, day)`` with the
    millionths to add.
    """

    events: list[tuple[str, str, bytes, str, tuple[str, ...], int]] = field(default_factory=list)
    created: list[tuple[Message, bytes, bytes]] = field(default_factory=list)
    changed: list[tuple[Message, bytes]] = field(default_factory=list)
    ready_in: list[ReadyRow] = field(default_factory=list)
    ready_out: list[ReadyRow] = field(default_factory=list)
    timers_in: list[tuple[int, str]] = field(default_factory=list)
    timers_out: list[tuple[int, str]] = field(default_factory=list)
    references: list[tuple[str, str, str, int]] = field(default_factory=list)
    contacts: list[tuple[str, str, str, int, int]] = field(default_factory=list)
    orphans: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    orphans_joined: list[tuple[str, str]] = field(default_factory=list)
    raw_receipts: list[tuple[int, str, bytes]] = field(default_factory=list)
    recipients: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, bytes] = field(default_factory=dict)
    dedupes: list[tuple[str, str, str, str, int]] = field(default_factory=list)
    outbox: list[tuple[str, str, bytes]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    spent: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it is read for people: history lines are parsed, and empty where they were not asked for."""

    message: Message
    event: dict[str, Any]
    history: tuple[dict[str, Any], ...] = ()


class Store(Protocol):
    """One store, embedded or served. Every call may raise ``StoreBusy``."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def load(self, wanted: Wanted) -> Loaded:
        """See what is there now; rows stay as seen until this engine's ``commit``."""

    async def commit(self, changes: Changes) -> None:
        """Write everything or nothing, durably."""

    async def claim(self, queue: str, limit: int, taken: Collection[tuple[str, int]]) -> list[ReadyRow]:
        """The most urgent rows of a backlog, but for those ``(message, step)`` that are in hand already."""

    async def queues(self) -> list[str]:
        """The backlogs that are not empty."""

    async def due(self, now: int, limit: int) -> list[tuple[int, str]]:
        """Timers that are due, the oldest first."""

    async def next_due(self) -> int | None:
        """When the next timer is due."""

    async def depths(self) -> dict[tuple[str, int], int]:
        """How many rows wait, by ``(queue, lane)``; at most 10 000 are counted for each."""

    async def message(self, id: str) -> StoredMessage | None: ...
    async def messages(
        self,
        *,
        recipient: str | None = None,
        policy: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[StoredMessage]: ...
    async def recipient(self, id: str) -> dict[str, Any] | None: ...
    async def address(self, hash: str) -> dict[str, Any] | None: ...
    async def recipients_of(self, hash: str) -> list[str]: ...

    async def outbox(self, after: int, limit: int) -> list[tuple[int, str, str, bytes]]:
        """Status events not yet taken by every sink: ``(sequence, id, recipient, body)``."""

    async def sink_position(self, sink: str) -> int: ...
    async def set_sink_position(self, sink: str, sequence: int) -> None: ...

    async def dead_letters(self, before: str | None, limit: int) -> list[dict[str, Any]]: ...
    async def dead_letter(self, id: str) -> dict[str, Any] | None: ...
    async def resolve_dead_letter(self, id: str, at: int) -> None: ...

    async def keep_version(self, kind: str, name: str, version: str, document: Mapping[str, Any]) -> None: ...
    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None: ...

    async def secrets(self, purpose: str) -> list[tuple[int, bytes, int]]: ...
    async def add_secret(self, purpose: str, secret: bytes, at: int) -> None: ...

    async def add_api_key(self, id: str, hash: str, scopes: Sequence[str], at: int) -> None: ...
    async def api_key(self, hash: str) -> Mapping[str, Any] | None: ...
    async def api_keys(self) -> list[Mapping[str, Any]]: ...
    async def revoke_api_key(self, id: str, at: int) -> bool: ...

    async def spent(self, day: str) -> dict[str, int]:
        """Millionths of the currency spent per channel on a day."""

    async def tidy(self, now: int) -> None:
        """Drop what is past its time: orphans, dedupe windows, taken status events, finished messages."""
