"""
What a store promises, one protocol for each noun; ``Store`` is all of them.

A batch is one transaction, a ``Unit``: ``load`` what the batch touches, decide, ``commit``
everything at once. From ``load`` on nobody else can change a loaded recipient, and from
``load_addresses`` on nobody can change a loaded address. When ``commit`` returns, the batch is
durable. When it raises ``StoreAway``, the batch may or may not be there; decide it again: every
fact is void the second time.

Several processes may share a store. Each looks after the buckets of the recipients that fall to it
(backlog, timers, status events). That divides the work and nothing more: two processes that see the
same row do no harm.

Every call may raise ``StoreBusy``. All times are UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from orchestrator.core.message import Message
from orchestrator.stores.audit import AuditNote, AuditStore
from orchestrator.stores.code_rows import CodeStore, FreeCode
from orchestrator.stores.counter_port import CounterStore
from orchestrator.stores.counts import CountStore
from orchestrator.stores.inbox_port import InboxStore
from orchestrator.stores.journey_port import JourneyStore
from orchestrator.stores.rates import Bucket
from orchestrator.stores.rows import (
    ALL_LANES,
    ApiKeyRow,
    Changes,
    DeadLetterRow,
    Loaded,
    LoadedAddresses,
    MemberRow,
    PauseRow,
    ReadyRow,
    SecretRow,
    StatusEvent,
    StepKey,
    StoredMessage,
    TimerRow,
    Wanted,
    WantedAddresses,
)

URGENT_WORD = "urgent "
"""Prefix of a backlog's name in a wake-up call if OTP waits there."""


class StoreBusy(Exception):
    """
    The database is overloaded, or another process was quicker. Nothing was written: try again.
    """


class StoreAway(StoreBusy):
    """The database cannot be reached. A commit under way may or may not have succeeded."""


class Moved(StoreBusy):
    """The data of a batch changed while it was being loaded. Nothing was written: load again."""


class StoreInUse(Exception):
    """Another process has the embedded store open for writing."""


class NeedsMigration(OSError):
    """The schema is older than this release, and `migrate: manual` forbids to change it."""


class Unit(Protocol):
    """One batch's transaction."""

    async def load(self, wanted: Wanted) -> Loaded:
        """Read what is there now; its recipients belong to this unit until it ends."""

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        """
        The same for addresses. Raises ``Moved`` if an unknown reference has become known meanwhile.
        """

    async def load_codes(self, wanted: Mapping[str, int]) -> dict[str, list[FreeCode]]:
        """So many free codes of each pool, which are this unit's; fewer if no more are free."""

    async def commit(self, changes: Changes) -> None:
        """Write everything or nothing, durably."""


class BatchStore(Protocol):
    """The engine's transactions."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """A transaction; it is rolled back unless it was committed."""

    async def load(self, wanted: Wanted) -> Loaded:
        """Like ``Unit.load`` but without locks: good for looking, not for deciding."""

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        """Documents by address hash."""


class BacklogStore(Protocol):
    """Steps that wait for a provider."""

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[StepKey],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        """
        The most urgent rows of a backlog, without those in ``taken``. ``lanes`` are the first and
        the last to look at.
        """

    async def queues(self) -> list[str]:
        """The backlogs that are not empty."""

    async def depths(self, everyone: bool = False) -> dict[tuple[str, int], int]:
        """
        The number of waiting rows by ``(queue, lane)``; at most 10 000 are counted for each. With
        ``everyone`` those of all processes.
        """


class TimerStore(Protocol):
    """
    Messages and journeys that wait for a moment; ``otp``: only those that are one-time passwords.
    """

    async def due(self, now: int, limit: int, otp: bool = False) -> list[TimerRow]:
        """Timers that are due, the oldest first."""

    async def timers_after(self, after: TimerRow, limit: int) -> list[TimerRow]:
        """The timers that come after this one in their order, due or not."""

    async def unexamined(self, digest: str) -> list[int]:
        """
        The buckets of this process whose held messages were not asked again under the configuration
        of this digest; an embedded store is one bucket.
        """

    async def examined(self, buckets: Sequence[int], digest: str) -> None:
        """The messages of these buckets have been asked."""

    async def under_way(self, after: TimerRow, limit: int) -> list[tuple[TimerRow, Message]]:
        """
        The messages that come after this timer in the order of ``timers_after``; those of all
        processes.
        """

    async def unfinished_after(
        self, after: str, limit: int, everyone: bool = False
    ) -> list[tuple[str, bool]]:
        """
        Unfinished messages and running journeys in the order of their ids, each with whether the
        timer is there that it has asked for. ``after`` is the last one seen; with ``everyone``
        those of all processes.
        """

    async def next_due(self, otp: bool = False) -> int | None:
        """The time of the next timer."""


class MessageStore(Protocol):
    """Messages and recipients, for people to read."""

    async def message(self, id: str) -> StoredMessage | None:
        """A message with its history."""

    async def messages(
        self,
        *,
        recipients: Collection[str] | None = None,
        policy: str | None = None,
        status: str | None = None,
        reason: str | None = None,
        since: str | None = None,
        before: str | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> list[StoredMessage]:
        """
        Messages without history, the newest first unless otherwise asked: with an id from ``since``
        on, and below ``before``. Those of a ``reason``, which have all ended, have an index.
        """

    async def joined_events(self, messages: Collection[str]) -> dict[str, list[Any]]:
        """
        The data of the events that have joined messages, in their order; without messages that none
        has joined.
        """

    async def recipient(self, id: str) -> dict[str, Any] | None:
        """A recipient's document."""

    async def recipients_after(self, after: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """Recipients' ids and documents in the order of the ids; ``after`` is the last one seen."""

    async def unowned_addresses(self, after: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """The same of addresses that ``owners`` has nobody for, by their hashes."""

    async def owners(self, hashes: Collection[str], limit: int) -> dict[str, list[str]]:
        """
        For each address that anybody's profile has, the ids of at most ``limit`` recipients, in
        their order.
        """


class OutboxStore(Protocol):
    """Status events on their way to sinks; ``sinks`` are their names, None if unknown."""

    @property
    def sinks(self) -> tuple[str, ...] | None: ...

    async def outbox(self, sink: str, limit: int) -> list[StatusEvent]:
        """Status events that a sink has not taken yet, in order."""

    async def waiting_statuses(self, sink: str) -> int:
        """
        How many status events of this process's share a sink has not taken yet; at most 10 000 are
        counted.
        """

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        """The sink has taken these: the first ones that ``outbox`` returned."""


class DeadLetterStore(Protocol):
    """Input that could not be processed."""

    async def dead_letters(
        self, before: str | None, limit: int, reason: str | None = None, since: str | None = None
    ) -> list[DeadLetterRow]:
        """
        The newest first: with an id from ``since`` on, and below ``before``. There are never more
        than ``DEAD_LETTERS_MAX``.
        """

    async def open_dead_letters(self) -> int:
        """How many have not been replayed."""

    async def dead_letter(self, id: str) -> DeadLetterRow | None: ...

    async def resolve_dead_letter(self, id: str, at: int) -> None:
        """Note that a replay has succeeded."""

    async def delete_dead_letter(self, id: str, note: AuditNote | None = None) -> bool:
        """False if there is none."""


class VersionStore(Protocol):
    """The policies and governance that messages were decided with; ``kind`` says which."""

    async def keep_version(
        self, kind: str, name: str, version: str, document: Mapping[str, Any]
    ) -> None:
        """Store a version unless it is there already."""

    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None: ...

    async def versions(self, kind: str) -> list[tuple[str, str]]:
        """The names and versions of a kind."""


class KeyStore(Protocol):
    """Secrets of the installation, and API keys."""

    async def secrets(self, purpose: str) -> list[SecretRow]:
        """The newest first."""

    async def add_secret(
        self,
        purpose: str,
        secret: bytes,
        at: int,
        *,
        unless_since: int | None = None,
        note: AuditNote | None = None,
    ) -> None:
        """
        ``unless_since``: only if none was added since then, however many processes try at once.
        """

    async def add_api_key(self, row: ApiKeyRow, note: AuditNote | None = None) -> None: ...
    async def api_key(self, hash: str) -> ApiKeyRow | None: ...
    async def api_keys(self) -> list[ApiKeyRow]:
        """The oldest first, with those that were revoked."""

    async def use_api_keys(self, used: Sequence[tuple[str, int]]) -> None:
        """Note when keys, by their ids, were used last."""

    async def revoke_api_key(self, id: str, at: int, note: AuditNote | None = None) -> bool:
        """False if there is no such key, or it was revoked before."""


class PauseStore(Protocol):
    """What operators have paused; it changes by batches alone (``Changes.pauses``)."""

    async def pauses(self) -> list[PauseRow]:
        """The latest pause of each thing that was ever paused, over or not."""


class RateStore(Protocol):
    """The rates of providers."""

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        """One provider's bucket; ``rate`` is tokens a second, ``monotonic`` returns seconds."""


class MembershipStore(Protocol):
    """The processes that share a store. ``shared``: there may be others."""

    shared: bool

    async def open(self) -> None:
        """
        Connect, and migrate unless that is forbidden. Raises ``StoreInUse``, ``NeedsMigration``.
        """

    async def close(self) -> None: ...

    async def join(self) -> None:
        """Take a share of the work: ``claim``, ``due`` and ``outbox`` return this process's."""

    async def members(self) -> list[MemberRow]:
        """The processes that have lately worked on the store; [] if it is embedded."""

    async def leave(self) -> None:
        """Give the share away; what is in hand is finished all the same."""

    def on_wake(self, wake: Callable[[str], None]) -> None:
        """
        Call ``wake`` when another process has left work here (with the name of a provider's
        backlog, after ``urgent `` if it is OTP, or ``timers``), has joined or left (``members``),
        has added a secret (``keys``), or if any has begun or ended a pause (``pauses``).
        """


class RetentionStore(Protocol):
    """Deletes rows some time after they have ended."""

    messages_ms: int
    events_ms: int
    receipts_ms: int
    dead_letters_ms: int
    audit_ms: int
    counts_ms: int
    profiles_ms: int | None

    async def purge(self, now: int) -> bool:
        """
        Delete a bounded number of rows whose time is over, in transactions that hold up nobody;
        True if there may be more.
        """

    async def idle_recipients(self, now: int) -> list[tuple[str, dict[str, Any]]]:
        """
        Look at some more of the recipients, and return the ids and documents of those who had
        neither a message nor a change for ``profiles_ms``, and none that is still kept; [] if that
        is None.
        """


class Store(
    BatchStore,
    BacklogStore,
    TimerStore,
    MessageStore,
    InboxStore,
    JourneyStore,
    OutboxStore,
    DeadLetterStore,
    VersionStore,
    KeyStore,
    AuditStore,
    CounterStore,
    CountStore,
    PauseStore,
    CodeStore,
    RateStore,
    MembershipStore,
    RetentionStore,
    Protocol,
):
    """One store, embedded or served."""
