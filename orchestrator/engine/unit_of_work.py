"""
One batch's view of the store: what was loaded, what has changed since, and in the end everything to
write.

Handlers see their own changes and those of the commands before them in the batch, exactly as if
each had been committed on its own. They see nothing else: a key that no command asked for raises
``NotLoaded``: treating it as absent would write an empty document over a stored one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Generic, TypeVar, cast

import orjson

from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message, Sending
from orchestrator.core.policy import OTP
from orchestrator.core.recipient import AddressState
from orchestrator.core.values import Struct, field
from orchestrator.engine.free_codes import FreeCodes, InventedCodes
from orchestrator.engine.not_loaded import NotLoaded
from orchestrator.history.journeys import decode_run, encode_run
from orchestrator.recipients.document import AddressHash, Person, address_state
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.journey_rows import JourneyRow
from orchestrator.stores.rows import (
    LANES,
    ChangedMessage,
    Changes,
    CreatedMessage,
    DedupeKey,
    Loaded,
    LoadedAddresses,
    OrphanRow,
    PauseRow,
    ReadyRow,
    TimerRow,
    Wanted,
    WantedAddresses,
    bucket_of,
)

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class ReadSet(Generic[K, V]):
    """
    The rows of one kind that a batch has read or added, by key. ``asked`` has the keys that were
    looked up in the store, found or not.
    """

    __slots__ = ("_asked", "_kind", "rows")

    def __init__(self, kind: str, rows: dict[K, V], asked: Container[K]) -> None:
        self.rows = rows
        self._kind = kind
        self._asked = asked

    def get(self, key: K) -> V | None:
        """The row, None if the store has none. Raises ``NotLoaded``."""
        row = self.rows.get(key)
        if row is None and key not in self._asked:
            raise NotLoaded(self._kind, key)
        return row

    def __setitem__(self, key: K, row: V) -> None:
        self.rows[key] = row

    def add(self, rows: Mapping[K, V], asked: set[K]) -> None:
        """Rows that were asked for late."""
        self.rows.update(rows)
        self._asked = asked.union(cast("Iterable[K]", self._asked))

    def asked_for(self, key: K) -> bool:
        return key in self._asked

    def __iter__(self) -> Iterator[V]:
        return iter(self.rows.values())


class WorkingMessage(Struct):
    """
    A message within a batch: as it was loaded, as it is now, and its new history lines.
    ``rows_lost``: its timer or its backlog rows may be missing, so all of them are written again.
    """

    message: Message
    event: dict[str, Any]
    before: Message | None = None
    lines: list[bytes] = field(default_factory=list)
    rows_lost: bool = False


class WorkingJourney(Struct):
    """
    A run of a journey within a batch: as it was loaded, as it is now, and its new history lines.
    ``events`` are those that its expressions see as ``event``, as in ``JourneyRow``.
    ``rows_lost``: its timer may be missing, so it is written again.
    """

    run: JourneyRun
    events: dict[str, Any]
    before: JourneyRun | None = None
    lines: list[bytes] = field(default_factory=list)
    rows_lost: bool = False

    def row(self) -> JourneyRow:
        """As it is stored."""
        run = self.run
        return JourneyRow(
            *(run.id, bucket_of(run.recipient), run.recipient, run.journey, run.key),
            *(str(run.status), run.created_at, run.finished_at, run.due_at),
            *(encode_run(run), orjson.dumps(self.events)),
        )


def working_journey(row: JourneyRow) -> WorkingJourney:
    """A run as it was loaded."""
    run = decode_run(row.state)
    return WorkingJourney(run, orjson.loads(row.events), run)


class UnitOfWork:
    """
    ``changes`` collects what handlers add directly; ``close`` adds what follows from the rest.

    ``asked`` is what ``loaded`` is the answer to. Whatever was found brings its messages, and they
    bring their recipients.
    """

    def __init__(self, loaded: Loaded, asked: Wanted, address_hash: AddressHash) -> None:
        self.changes = Changes()
        self.events = ReadSet("event", loaded.events, asked.events)
        self.references = ReadSet("reference", loaded.references, asked.references)
        self.contacts = ReadSet("contact", loaded.contacts, asked.contacts)
        self.live_of = ReadSet("unfinished messages of", loaded.live_of, asked.live_of)
        self.pauses = loaded.pauses
        self.codes = FreeCodes({}, {})
        messages = {
            id: WorkingMessage(row.message, row.event, row.message)
            for id, row in loaded.messages.items()
        }
        named = {
            place.message
            for found in (loaded.references, loaded.contacts)
            for place in found.values()
        }.union(*loaded.live_of.values())
        self.messages = ReadSet("message", messages, widen(asked.messages, named))
        people = {
            id: Person(id, document, address_hash) for id, document in loaded.recipients.items()
        }
        journeys = {id: working_journey(row) for id, row in loaded.journeys.items()}
        running = set[str]().union(*loaded.journeys_of.values())
        self.journeys = ReadSet("journey", journeys, widen(asked.journeys, running))
        self.journeys_of = ReadSet("journeys of", loaded.journeys_of, asked.journeys_of)
        whose = {entry.message.recipient for entry in messages.values()}
        whose |= {entry.run.recipient for entry in journeys.values()}
        self.people = ReadSet("recipient", people, widen(asked.recipients, whose))
        self._hash = address_hash
        self._dirty_addresses: set[str] = set()
        self.take_addresses(LoadedAddresses(), WantedAddresses())

    @classmethod
    def in_memory(cls, address_hash: AddressHash) -> UnitOfWork:
        """A unit of work without a store behind it: it starts empty and knows all there is."""
        rows, addresses = (
            {one.name: cast(Any, EVERYTHING) for one in fields(wanted)}
            for wanted in (Wanted, WantedAddresses)
        )
        work = cls(Loaded(), Wanted(**rows), address_hash)
        work.codes = InventedCodes()
        work.take_addresses(LoadedAddresses(), WantedAddresses(**addresses))
        return work

    def take_addresses(self, loaded: LoadedAddresses, asked: WantedAddresses) -> None:
        """Add what the second stage of loading has found."""
        self.addresses = ReadSet("address", loaded.addresses, asked.addresses)
        self.dedupes = ReadSet("dedupe window of", loaded.dedupes, asked.dedupes)
        self.entered = ReadSet("begun journeys of", loaded.entered, asked.entered)
        self.digests = ReadSet("digest of", self._opened(loaded), asked.digests)
        self.orphans = ReadSet("early receipts of", loaded.orphans, asked.references)
        self._unknown = asked.unknown

    def take_late(self, loaded: LoadedAddresses, asked: WantedAddresses) -> None:
        """Add the windows, digests and keys that were asked for while the batch was decided."""
        self.dedupes.add(loaded.dedupes, asked.dedupes)
        self.entered.add(loaded.entered, asked.entered)
        self.digests.add(self._opened(loaded), asked.digests)

    def _opened(self, loaded: LoadedAddresses) -> dict[DedupeKey, str]:
        """The messages that have opened digests, by key; they are now among the messages."""
        for row in loaded.digests.values():
            entry = WorkingMessage(row.message, row.event, row.message)
            self.messages.rows.setdefault(row.message.id, entry)
        return {key: row.message.id for key, row in loaded.digests.items()}

    def person(self, id: str) -> Person:
        """A recipient; ``known`` is False if the store has no such id. Raises ``NotLoaded``."""
        person = self.people.get(id)
        if person is None:
            person = self.people[id] = Person(id, None, self._hash)
        return person

    def address_document(self, hash: str) -> dict[str, Any]:
        """An address's document, to be changed: it will be written."""
        document = self.addresses.get(hash)
        if document is None:
            document = self.addresses[hash] = {}
        self._dirty_addresses.add(hash)
        return document

    def address_states(self, person: Person) -> dict[str, AddressState]:
        """The states of a person's addresses that have one."""
        return {
            address.hash: address_state(address.hash, document)
            for address in person.addresses
            if (document := self.addresses.get(address.hash))
        }

    def pause(self, kind: str, name: str) -> PauseRow | None:
        """The latest pause of this, over or not."""
        return next((one for one in self.pauses if one[:2] == (kind, name)), None)

    def put_pause(self, row: PauseRow) -> None:
        """Begin, change or end a pause: it holds for what stands behind it in the batch, too."""
        self.pauses = [*(one for one in self.pauses if one[:2] != row[:2]), row]
        self.changes.pauses.append(row)

    def write_down(self, note: AuditNote | None) -> None:
        """Have an entry of the audit log with the batch; None if nobody has to answer for it."""
        if note is not None:
            self.changes.audit.append(note)

    def create(self, message: Message, event: dict[str, Any]) -> WorkingMessage:
        """Add a new message."""
        entry = self.messages[message.id] = WorkingMessage(message, event)
        append(self.live_of, message.recipient, message.id)
        return entry

    def begin_journey(self, run: JourneyRun, event: dict[str, Any]) -> WorkingJourney:
        """Add a new run of a journey."""
        entry = self.journeys[run.id] = WorkingJourney(run, {"": event})
        append(self.journeys_of, run.recipient, run.id)
        return entry

    def add_orphan(self, provider: str, reference: str, receipt: bytes) -> None:
        """
        Store a receipt that came before its reference is known. Raises ``NotLoaded`` unless that
        was asked for: only then does the store refuse the batch if the reference becomes known.
        """
        key = (provider, reference)
        if key not in self._unknown:
            raise NotLoaded("unknown reference", key)
        self.changes.orphans.append(OrphanRow(*key, self.changes.at, receipt))
        # the answer that brings the reference may stand behind it in this very batch
        append(self.orphans, key, receipt)

    def take_orphans(self, provider: str, reference: str) -> list[bytes]:
        """Remove and return the receipts that came before this reference was known."""
        key = (provider, reference)
        receipts = self.orphans.get(key)
        if not receipts:
            return []
        del self.orphans.rows[key]
        self.changes.orphans_joined.append(key)
        return receipts

    def close(self) -> Changes:
        """Everything to write: documents that changed, and the differences in what waits."""
        changes = self.changes
        for entry in self.messages:
            if not entry.lines and not entry.rows_lost:
                continue
            history = b"".join(entry.lines)
            if entry.before is None:
                changes.created.append(CreatedMessage(entry.message, entry.event, history))
            else:
                changes.changed.append(ChangedMessage(entry.message, history))
            self._differences(entry)
        for journey in self.journeys:
            if journey.lines or journey.rows_lost:
                self._close_journey(journey)
        for person in self.people:
            if person.dirty:
                changes.recipients[person.id] = orjson.dumps(person.document)
                before, now = person.owned_before(), person.owned_now()
                changes.owners_out.extend((hash, person.id) for hash in sorted(before - now))
                changes.owners_in.extend((hash, person.id) for hash in sorted(now - before))
        if changes.owners_in and changes.owners_out:
            again = set(changes.owners_in)  # somebody who was erased and came back in one batch
            changes.owners_out = [pair for pair in changes.owners_out if pair not in again]
        for hash in self._dirty_addresses:
            changes.addresses[hash] = orjson.dumps(self.addresses.rows[hash])
        return changes

    def _close_journey(self, entry: WorkingJourney) -> None:
        """What is written of one run, and the difference in its timer."""
        changes, run = self.changes, entry.run
        changes.journeys.append(entry.row())
        if entry.lines:
            changes.journey_lines.append((run.id, b"".join(entry.lines)))
        due_before = entry.before.due_at if entry.before is not None else None
        moved = due_before != run.due_at
        if moved and due_before is not None:
            changes.timers_out.append(TimerRow(due_before, run.id))
        if run.due_at is not None and (moved or entry.rows_lost):
            changes.timers_in.append(TimerRow(run.due_at, run.id))
        changes.buckets[run.id] = bucket_of(run.recipient)

    def _differences(self, entry: WorkingMessage) -> None:
        """The rows that one message adds to the backlog and the timers, and those it removes."""
        changes, message, earlier = self.changes, entry.message, entry.before
        before, after = ready_rows(earlier) if earlier is not None else [], ready_rows(message)
        changes.ready_out.extend(row for row in before if row not in after)
        lost = entry.rows_lost
        changes.ready_in.extend(row for row in after if lost or row not in before)
        due_before = earlier.due_at if earlier is not None else None
        moved = due_before != message.due_at
        if moved or lost:
            if moved and due_before is not None:
                changes.timers_out.append(TimerRow(due_before, message.id))
            if message.due_at is not None:
                changes.timers_in.append(TimerRow(message.due_at, message.id))
        changes.buckets[message.id] = bucket_of(message.recipient)
        if message.message_class == OTP:
            changes.otp.add(message.id)


class Everything(set[Any]):
    """The set of all keys."""

    def __contains__(self, key: object) -> bool:
        return True


EVERYTHING = Everything()


def widen(asked: set[str], more: set[str]) -> set[str]:
    """Both, without a copy if there is nothing to add."""
    return asked | more if more else asked


def append(lists: ReadSet[K, list[T]], key: K, item: T) -> None:
    """Add to a list that was asked for; any other is only partly known, so it stays unreadable."""
    if lists.asked_for(key):
        lists.rows.setdefault(key, []).append(item)


def ready_rows(message: Message) -> list[ReadyRow]:
    """A message's rows in the backlog."""
    return [
        ReadyRow(
            run.provider or "",
            LANES[message.message_class],
            run.ready_since or 0,
            message.id,
            run.step,
        )
        for run in message.runs
        if run.sending is Sending.READY
    ]
