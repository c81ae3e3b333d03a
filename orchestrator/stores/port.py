"""
What a store promises the engine.

One transaction a batch, a ``Unit``: ``load`` what the batch touches, decide, ``commit`` everything
at once. From ``load`` on nobody else can change a recipient that was loaded, from
``load_addresses`` on nobody an address. What ``commit`` has returned from is durable; where it
raised ``StoreAway`` it may be there or not, so the same batch is simply decided anew: every fact is
void the second time.

Several processes may share a store. Then each looks after the buckets of the recipients that fall
to it (what waits, what is due, whom to tell); that is a division of work and nothing more: two who
see the same row do no harm.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.core.message import Message
from orchestrator.core.values import Struct, Value

BUCKETS = 1024
LANES = {"otp": 0, "transactional": 1, "service": 2, "promotional": 3}
"""The backlog's priority by message class."""
URGENT = LANES["otp"]
ALL_LANES = (0, len(LANES) - 1)
URGENT_WORD = "urgent "
"""Stands before the name of a backlog where what was left there is urgent."""


def bucket_of(recipient: str) -> int:
    """
    Where a recipient's rows belong: ``0 ≤ bucket < 1024``, the same in every process and release.
    """
    return zlib.crc32(recipient.encode()) % BUCKETS


TOKEN_SECONDS = 0.5
"""How long a token of a rate is good."""
BURST_SECONDS = 0.5
"""How much of a rate may come at once after a quiet time; a single token always may."""
URGENT_WAIT_SECONDS = 0.5
"""How long everything else waits for something urgent that got no token and may have died since."""


def token_seconds(rate: float) -> float:
    """How long a token of so many a second is good."""
    return max(TOKEN_SECONDS, 1 / rate)


class StoreBusy(Exception):
    """
    The database is there but has no time, or somebody else was quicker; nothing was written. Worth
    another try.
    """


class StoreAway(StoreBusy):
    """The database cannot be reached. What was being committed may be there or not."""


class Moved(StoreBusy):
    """
    What a batch rests on has changed while it was being loaded; nothing was written. Load it again.
    """


class StoreInUse(Exception):
    """Another process has the embedded store open for writing."""


class NeedsMigration(OSError):
    """The schema is older than this release, and `migrate: manual` forbids to change it."""


class EventRow(Value):
    """An event that was seen before."""

    digest: bytes
    messages: tuple[str, ...]
    status: str


class MessageRow(Struct):
    """A message with its event: ``event`` is ``{"ce": {…attributes}, "data": {…}}``."""

    message: Message
    event: dict[str, Any]


class ReadyRow(Value):
    """
    One step that waits in the backlog of ``queue`` (a provider's name). ``recipient`` is whose it
    is, where that is known without asking.
    """

    queue: str
    lane: int
    since: int
    message: str
    step: int
    recipient: str = ""


@dataclass(slots=True)
class Wanted:
    """
    What a batch needs to see. References, contacts and ``live_of`` bring their messages, messages
    bring their recipients, recipients bring nothing else.
    """

    events: set[tuple[str, str]] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    references: set[tuple[str, str]] = field(default_factory=set)
    contacts: set[tuple[str, str]] = field(default_factory=set)
    recipients: set[str] = field(default_factory=set)
    live_of: set[str] = field(default_factory=set)
    dedupes: set[tuple[str, str, str]] = field(default_factory=set)


@dataclass(slots=True)
class WantedAddresses:
    """
    The second half: the documents of ``addresses`` by their hashes, and the receipts that came
    before the ``references`` that are about to be written. ``unknown`` are references that named
    nothing a moment ago.
    """

    addresses: set[str] = field(default_factory=set)
    references: set[tuple[str, str]] = field(default_factory=set)
    unknown: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Loaded:
    """
    What was found. ``references`` and ``contacts`` give ``(message, attempt)``; ``live_of`` the ids
    of a recipient's unfinished messages; ``dedupes`` ``(message, until)``.
    """

    events: dict[tuple[str, str], EventRow] = field(default_factory=dict)
    messages: dict[str, MessageRow] = field(default_factory=dict)
    references: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    contacts: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    recipients: dict[str, dict[str, Any]] = field(default_factory=dict)
    live_of: dict[str, list[str]] = field(default_factory=dict)
    dedupes: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class LoadedAddresses:
    """Documents by address hash, and the receipts that wait by ``(provider, reference)``."""

    addresses: dict[str, dict[str, Any]] = field(default_factory=dict)
    orphans: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class Changes:
    """
    Everything one batch writes. ``at`` is its time, ``buckets`` has the buckets of messages that
    wait for something, ``otp`` those of them that are one-time codes.

    ``events``: ``(source, id, digest, status, message ids, at)``; ``created``: message, event
    document, history; ``changed``: message, history to append; ``ready_in``/``ready_out`` and
    ``timers_in``/``timers_out`` are rows to add and remove (timers as ``(due_at, message)``);
    ``references``: ``(provider, reference, message, attempt)``; ``contacts``: ``(address hash,
    channel, message, attempt, at)``; ``orphans``: ``(provider, reference, at, receipt)``;
    ``raw_receipts``: ``(at, provider, body)``; ``dedupes``: ``(policy, recipient, key, message,
    until)``; ``outbox``: ``(id, recipient, body)``; ``dead_letters``: rows as dicts; ``erased``:
    recipient ids; ``spent``: ``(channel, day)`` with the millionths to add.
    """

    at: int = 0
    buckets: dict[str, int] = field(default_factory=dict)
    otp: set[str] = field(default_factory=set)
    events: list[tuple[str, str, bytes, str, tuple[str, ...], int]] = field(default_factory=list)
    created: list[tuple[Message, dict[str, Any], bytes]] = field(default_factory=list)
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


class StoredMessage(Value):
    """
    A message as it is read for people: history lines are parsed, and empty where they were not
    asked for.
    """

    message: Message
    event: dict[str, Any]
    history: tuple[dict[str, Any], ...] = ()


class Unit(Protocol):
    """One batch's transaction."""

    async def load(self, wanted: Wanted) -> Loaded:
        """See what is there now; its recipients are this unit's alone until it ends."""

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        """
        The same for addresses. Raises ``Moved`` where an unknown reference has become known
        meanwhile.
        """

    async def commit(self, changes: Changes) -> None:
        """Write everything or nothing, durably."""


def timers_of(otp: bool) -> str:
    """The condition on timers, in SQL; written out, because a partial index serves it."""
    return f"lane = {URGENT}" if otp else "true"


def lane_of_timer(changes: Changes, message: str) -> int:
    """The lane of a message's timer: codes, or everything else."""
    return URGENT if message in changes.otp else ALL_LANES[1]


class Bucket(Protocol):
    """
    A provider's rate: tokens for the whole installation, and a pause where the provider asked for
    one.

    A token is for a send that starts within ``token_seconds``; nobody keeps one for longer. What
    may come at once and how long a token is good are a second together: so in any time ``t`` no
    more than ``rate × (t + 1 s)`` start. Below two a second a token is good until the next one
    comes, and one more may start.
    """

    token_seconds: float

    async def take(self, wanted: int, urgent: bool = False) -> int:
        """
        Take up to ``wanted`` tokens; how many there were. While something urgent has asked for more
        than there were, nothing else gets any, in whatever process.
        """

    def next_in(self) -> float:
        """Seconds until there is a token."""

    async def pause(self, seconds: float) -> None:
        """Give out nothing for so long; a longer pause that is already on stays."""

    def paused_for(self) -> float:
        """Seconds that a pause has still to run."""


class Store(Protocol):
    """
    One store, embedded or served. Every call may raise ``StoreBusy``. ``shared``: other processes
    may use it, too.
    """

    shared: bool

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def join(self) -> None:
        """
        Take a share of the work: from now on ``claim``, ``due`` and ``outbox`` give this process's.
        """

    async def leave(self) -> None:
        """Give the share away; what is in hand is finished all the same."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """A transaction; what was not committed at its end is not there."""

    async def load(self, wanted: Wanted) -> Loaded:
        """The same as a unit sees, but nothing is held: good for looking, not for deciding."""

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        """Documents by address hash."""

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        """The rate of one provider, in tokens a second."""

    def on_wake(self, wake: Callable[[str], None]) -> None:
        """
        Be told what another process has done: left work here (the name of a provider's backlog,
        with ``urgent `` before it where it is a code; or ``timers``), joined or left (``members``),
        added a secret (``keys``).
        """

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[tuple[str, int]],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        """
        The most urgent rows of a backlog, but for those ``(message, step)`` that are in hand
        already. ``lanes`` are the first and the last to look at.
        """

    async def queues(self) -> list[str]:
        """The backlogs that are not empty."""

    async def due(self, now: int, limit: int, otp: bool = False) -> list[tuple[int, str]]:
        """Timers that are due, the oldest first; ``otp``: only those of codes."""

    async def next_due(self, otp: bool = False) -> int | None:
        """When the next timer is due, of the same."""

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

    async def outbox(self, sink: str, limit: int) -> list[tuple[int, str, str, bytes]]:
        """
        Status events that a sink has not taken yet, in order: ``(sequence, id, recipient, body)``.
        """

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        """The sink has taken these, the first ones of what ``outbox`` gave."""

    async def dead_letters(self, before: str | None, limit: int) -> list[dict[str, Any]]: ...
    async def dead_letter(self, id: str) -> dict[str, Any] | None: ...
    async def resolve_dead_letter(self, id: str, at: int) -> None: ...

    async def keep_version(
        self, kind: str, name: str, version: str, document: Mapping[str, Any]
    ) -> None: ...
    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None: ...

    async def secrets(self, purpose: str) -> list[tuple[int, bytes, int]]: ...
    async def add_secret(
        self, purpose: str, secret: bytes, at: int, *, first: bool = False
    ) -> None:
        """``first``: only where there is none yet, however many processes start at once."""

    async def add_api_key(self, id: str, hash: str, scopes: Sequence[str], at: int) -> None: ...
    async def api_key(self, hash: str) -> Mapping[str, Any] | None: ...
    async def api_keys(self) -> list[Mapping[str, Any]]: ...
    async def revoke_api_key(self, id: str, at: int) -> bool: ...

    async def spent(self, day: str) -> dict[str, int]:
        """Millionths of the currency spent per channel on a day."""

    async def count_receipts(self, news: Sequence[tuple[str, int, int, int]]) -> None:
        """
        Add to the sends and deliveries of a channel's minutes: ``(channel, minute, sent,
        delivered)``.
        """

    async def receipt_counts(self, since_minute: int) -> list[tuple[str, int, int, int]]: ...

    async def tidy(self, now: int) -> None:
        """
        Drop what is past its time: orphans, dedupe windows, taken status events, finished messages.
        """
