"""
What goes into a store and comes out of it: typed rows, and what one batch reads and writes.

Times are UTC milliseconds. Every row is in the order of its table's columns, so that the stores
write it as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from orchestrator.core.counts import CountKey, Counts
from orchestrator.core.inputs import PauseKind
from orchestrator.core.message import Message
from orchestrator.core.policy import CLASSES, OTP
from orchestrator.core.values import Struct, Value
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import ReturnedCode, TakenCode
from orchestrator.stores.item_rows import NewItemRow
from orchestrator.stores.journey_rows import EnteredRow, EntryKey, JourneyRow
from orchestrator.stores.named import Named
from orchestrator.stores.window_rows import DedupeRow, DedupeWindow, JoinedRow

BUCKETS = 1024
LANES: dict[str, int] = {name: lane for lane, name in enumerate(CLASSES)}
"""The backlog's priority by message class."""
URGENT = LANES[OTP]
ALL_LANES = (0, len(LANES) - 1)

EventKey: TypeAlias = tuple[str, str]  # source, id
ReferenceKey: TypeAlias = tuple[str, str]  # provider, reference
ContactKey: TypeAlias = tuple[str, str]  # address hash, channel
DedupeKey: TypeAlias = tuple[str, str, str]  # policy, recipient, key
StepKey: TypeAlias = tuple[str, int]  # message, step


def bucket_of(recipient: str) -> int:
    """
    The bucket of a recipient's rows: ``0 ≤ bucket < 1024``, the same in every process and release.
    """
    return zlib.crc32(recipient.encode()) % BUCKETS


class ReadyRow(Value):
    """
    A step that waits in the backlog of ``queue`` (a provider's name) since ``since``.

    ``recipient`` is "" if it was not known without another query.
    """

    queue: str
    lane: int
    since: int
    message: str
    step: int
    recipient: str = ""


class TimerRow(NamedTuple):
    """A message, or a journey (``is_journey``), that is to be looked at again at ``due_at``."""

    due_at: int
    message: str


BEFORE_ALL_TIMERS = TimerRow(-1, "")


class AttemptPlace(NamedTuple):
    """The place of an attempt: its message and its number there."""

    message: str
    attempt: int


class ContactPlace(NamedTuple):
    """
    The last attempt that an address answers, and the hash of the address that it went to: the same,
    or another one that the provider knows by this.
    """

    message: str
    attempt: int
    written_to: str


class ReferenceRow(NamedTuple):
    """The id that a provider gave to an attempt."""

    provider: str
    reference: str
    message: str
    attempt: int


class ContactRow(NamedTuple):
    """
    The last attempt to an address on a channel; a reply from there answers it. ``written_to`` is
    the address that it went to, if the provider knows that by this one.
    """

    address_hash: str
    channel: str
    message: str
    attempt: int
    written_to: str
    at: int


class OrphanRow(NamedTuple):
    """A receipt (an encoded fact) whose reference belongs to no attempt yet."""

    provider: str
    reference: str
    at: int
    receipt: bytes


class RawReceiptRow(NamedTuple):
    """A webhook's body as it arrived."""

    at: int
    provider: str
    body: bytes


class NewEventRow(NamedTuple):
    """An event that was accepted: ``messages`` are the ids that it made."""

    source: str
    id: str
    digest: bytes
    status: str
    messages: tuple[str, ...]
    accepted_at: int


class EventRow(Value):
    """An event that was seen before."""

    digest: bytes
    messages: tuple[str, ...]
    status: str


class MessageRow(Struct):
    """A message with its event: ``event`` is ``{"ce": {…attributes}, "data": {…}}``."""

    message: Message
    event: dict[str, Any]


class CreatedMessage(NamedTuple):
    """A new message, its event as in ``MessageRow``, and the first lines of its history."""

    message: Message
    event: dict[str, Any]
    history: bytes


class ChangedMessage(NamedTuple):
    """A message as it is now, and the lines to append to its history, which may be none."""

    message: Message
    history: bytes


class StoredMessage(Value):
    """A message as people read it; ``history`` is empty if only a list was asked for."""

    message: Message
    event: dict[str, Any]
    history: tuple[dict[str, Any], ...] = ()


class NewStatusEvent(NamedTuple):
    """A status event to hand to every sink; ``body`` is the CloudEvent's JSON."""

    id: str
    recipient: str
    body: bytes


class StatusEvent(NamedTuple):
    """
    A status event that a sink has not taken yet. ``id`` is the CloudEvent's own, ``body`` its JSON
    exactly as it is sent and signed.
    """

    sequence: int
    id: str
    recipient: str
    body: bytes


class DeadLetterRow(NamedTuple):
    """Input that could not be processed; ``replayed_at`` is set once a replay has succeeded."""

    id: str
    at: int
    origin: str
    reason: str
    detail: str
    headers: Mapping[str, str]
    body: bytes
    replayed_at: int | None = None


class SecretRow(NamedTuple):
    """A key that Kaskad made for itself."""

    id: int
    secret: bytes
    created_at: int


class ApiKeyRow(NamedTuple):
    """An API key; only the SHA-256 of the key is stored, as hex."""

    id: str
    hash: str
    scopes: tuple[str, ...]
    created_at: int
    revoked_at: int | None
    name: str = ""
    expires_at: int | None = None
    rate: tuple[int, int] | None = None
    """Requests and a time in ms; None if `http.key_rate` holds."""
    used_at: int | None = None

    def works(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class PauseRow(NamedTuple):
    """
    Somebody holds everything of a provider, a channel or a policy (``kind``) from ``at`` to
    ``until``. ``eased_at`` is when its end, or that of one before it, was last brought forward:
    what is held waits for the end that it knows, so it is asked again then.
    """

    kind: PauseKind
    name: str
    at: int
    until: int
    why: str
    eased_at: int | None = None

    def holds(self, now: int) -> bool:
        return self.until > now


class MemberRow(NamedTuple):
    """A process that works on a shared store; ``silent_ms`` since it was last seen."""

    id: str
    release: str
    silent_ms: int


class ReceiptCount(NamedTuple):
    """Sends of one minute (since 1970) on a channel, and how many of them were delivered."""

    channel: str
    minute: int
    sent: int
    delivered: int


@dataclass(slots=True)
class Wanted:
    """
    The rows that a batch needs. References, contacts and ``live_of`` bring their messages,
    ``journeys_of`` their journeys; messages and journeys bring their recipients, recipients bring
    nothing else.
    """

    events: set[EventKey] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    references: set[ReferenceKey] = field(default_factory=set)
    contacts: set[ContactKey] = field(default_factory=set)
    recipients: set[str] = field(default_factory=set)
    live_of: set[str] = field(default_factory=set)  # recipients, for their unfinished messages
    journeys: set[str] = field(default_factory=set)
    journeys_of: set[str] = field(default_factory=set)  # recipients, for their running journeys
    pausing: bool = False  # pauses are about to change: nobody else decides until that is durable


@dataclass(slots=True)
class WantedAddresses:
    """The second stage of a load: what follows from the recipients, once they are known."""

    addresses: set[str] = field(default_factory=set)  # hashes
    references: set[ReferenceKey] = field(default_factory=set)  # to be written: orphans may wait
    unknown: set[ReferenceKey] = field(default_factory=set)  # not found by the first stage
    dedupes: set[DedupeKey] = field(default_factory=set)  # a key may name fields of the recipient
    entered: set[EntryKey] = field(default_factory=set)
    digests: set[DedupeKey] = field(default_factory=set)


@dataclass(slots=True)
class Loaded:
    """The rows that a store found, under the keys of ``Wanted``."""

    events: dict[EventKey, EventRow] = field(default_factory=dict)
    messages: dict[str, MessageRow] = field(default_factory=dict)
    references: dict[ReferenceKey, AttemptPlace] = field(default_factory=dict)
    contacts: dict[ContactKey, ContactPlace] = field(default_factory=dict)
    recipients: dict[str, dict[str, Any]] = field(default_factory=dict)
    live_of: dict[str, list[str]] = field(default_factory=dict)
    journeys: dict[str, JourneyRow] = field(default_factory=dict)
    journeys_of: dict[str, list[str]] = field(default_factory=dict)
    pauses: list[PauseRow] = field(default_factory=list)  # all that there are


@dataclass(slots=True)
class LoadedAddresses:
    """
    Documents by address hash, the receipts that wait for their reference, the open dedupe windows,
    the journey that each key was begun with, and the unfinished messages that have opened digests.
    """

    addresses: dict[str, dict[str, Any]] = field(default_factory=dict)
    orphans: dict[ReferenceKey, list[bytes]] = field(default_factory=dict)
    dedupes: dict[DedupeKey, DedupeWindow] = field(default_factory=dict)
    entered: dict[EntryKey, str] = field(default_factory=dict)
    digests: dict[DedupeKey, MessageRow] = field(default_factory=dict)


@dataclass(slots=True)
class Changes:
    """
    Everything that one batch writes at the time ``at``. ``buckets`` has the messages and journeys
    with rows in ``ready_in`` or ``timers_in``; ``otp`` are those of them that are one-time
    passwords: their timers have a lane of their own.
    """

    at: int = 0
    buckets: dict[str, int] = field(default_factory=dict)
    otp: set[str] = field(default_factory=set)
    events: list[NewEventRow] = field(default_factory=list)
    matched: list[NewEventRow] = field(default_factory=list)  # stored before, and unmatched then
    created: list[CreatedMessage] = field(default_factory=list)
    changed: list[ChangedMessage] = field(default_factory=list)
    ready_in: list[ReadyRow] = field(default_factory=list)
    ready_out: list[ReadyRow] = field(default_factory=list)
    timers_in: list[TimerRow] = field(default_factory=list)
    timers_out: list[TimerRow] = field(default_factory=list)
    references: list[ReferenceRow] = field(default_factory=list)
    contacts: list[ContactRow] = field(default_factory=list)
    orphans: list[OrphanRow] = field(default_factory=list)
    orphans_joined: list[ReferenceKey] = field(default_factory=list)  # they found their attempt
    raw_receipts: list[RawReceiptRow] = field(default_factory=list)
    recipients: dict[str, bytes] = field(default_factory=dict)  # documents by id
    addresses: dict[str, bytes] = field(default_factory=dict)  # documents by hash
    owners_in: list[tuple[str, str]] = field(default_factory=list)  # hash and recipient
    owners_out: list[tuple[str, str]] = field(default_factory=list)
    dedupes: list[DedupeRow] = field(default_factory=list)  # of digests, too
    joined: list[JoinedRow] = field(default_factory=list)
    joined_copied: list[tuple[str, str]] = field(default_factory=list)  # to and from a message
    outbox: list[NewStatusEvent] = field(default_factory=list)
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)  # recipients to forget
    items: list[NewItemRow] = field(default_factory=list)
    items_read: list[tuple[str, str]] = field(default_factory=list)  # recipient and item
    items_withdrawn: list[tuple[str, str]] = field(default_factory=list)
    unwanted: list[Named] = field(default_factory=list)  # those whose dead letters go
    hours: dict[int, int] = field(default_factory=dict)  # answers by the hour of the person's day
    spent: dict[tuple[str, str], int] = field(default_factory=dict)  # millionths by channel, day
    counts: Counts = field(default_factory=dict)
    count_keys: list[CountKey] = field(default_factory=list)  # that may be new to the store
    pauses: list[PauseRow] = field(default_factory=list)
    codes_taken: list[TakenCode] = field(default_factory=list)
    codes_returned: list[ReturnedCode] = field(default_factory=list)
    exposures: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    audit: list[AuditNote] = field(default_factory=list)
    journeys: list[JourneyRow] = field(default_factory=list)
    journey_lines: list[tuple[str, bytes]] = field(default_factory=list)  # journey and its lines
    entered: list[EnteredRow] = field(default_factory=list)

    def timer_lane(self, message: str) -> int:
        """The lane of a message's timer: one for OTP, one for everything else."""
        return URGENT if message in self.otp else ALL_LANES[1]
