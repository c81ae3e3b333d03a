"""
One batch's view of the store: what was loaded, what has changed since, and in the end everything to
write.

Handlers see their own changes and those of the commands before them in the batch, exactly as if
each had been committed on its own.
"""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.core.message import Message, Sending
from orchestrator.core.policy import OTP
from orchestrator.core.recipient import AddressState
from orchestrator.core.values import Struct, field
from orchestrator.recipients.document import AddressHash, Person, address_state
from orchestrator.stores.rows import (
    LANES,
    ChangedMessage,
    Changes,
    CreatedMessage,
    EventRow,
    Loaded,
    LoadedAddresses,
    ReadyRow,
    TimerRow,
    bucket_of,
)


class WorkingMessage(Struct):
    """A message within a batch: as it was loaded, as it is now, and its new history lines."""

    message: Message
    event: dict[str, Any]
    before: Message | None = None
    lines: list[bytes] = field(default_factory=list)


class UnitOfWork:
    """
    The unit of work. ``changes`` collects what handlers add directly; ``close`` adds what follows
    from the rest.
    """

    def __init__(self, loaded: Loaded, address_hash: AddressHash) -> None:
        self.changes = Changes()
        self.events: dict[tuple[str, str], EventRow] = loaded.events
        self.references = loaded.references
        self.contacts = loaded.contacts
        self.live_of = loaded.live_of
        self.dedupes = loaded.dedupes
        self.entries = {
            id: WorkingMessage(row.message, row.event, row.message)
            for id, row in loaded.messages.items()
        }
        self.people = {
            id: Person(id, document, address_hash) for id, document in loaded.recipients.items()
        }
        self.addresses: dict[str, dict[str, Any]] = {}
        self.orphans: dict[tuple[str, str], list[bytes]] = {}
        self._dirty_addresses: set[str] = set()
        self._hash = address_hash

    def take_addresses(self, loaded: LoadedAddresses) -> None:
        """Add what the second stage of loading has found."""
        self.addresses = loaded.addresses
        self.orphans = loaded.orphans

    def person(self, id: str) -> Person:
        """A recipient, known or not."""
        if id not in self.people:
            self.people[id] = Person(id, None, self._hash)
        return self.people[id]

    def address_document(self, hash: str) -> dict[str, Any]:
        """An address's document, to be changed: it will be written."""
        self._dirty_addresses.add(hash)
        return self.addresses.setdefault(hash, {})

    def address_states(self, person: Person) -> dict[str, AddressState]:
        """The states of a person's addresses that have one."""
        return {
            address.hash: address_state(address.hash, document)
            for address in person.addresses
            if (document := self.addresses.get(address.hash))
        }

    def create(self, message: Message, event: dict[str, Any]) -> WorkingMessage:
        entry = WorkingMessage(message, event)
        self.entries[message.id] = entry
        self.live_of.setdefault(message.recipient, []).append(message.id)
        return entry

    def close(self) -> Changes:
        """Everything to write: documents that changed, and the differences in what waits."""
        changes = self.changes
        for entry in self.entries.values():
            if not entry.lines:
                continue
            history = b"".join(entry.lines)
            if entry.before is None:
                changes.created.append(CreatedMessage(entry.message, entry.event, history))
            else:
                changes.changed.append(ChangedMessage(entry.message, history))
            self._differences(entry)
        for person in self.people.values():
            if person.dirty:
                changes.recipients[person.id] = orjson.dumps(person.document)
        for hash in self._dirty_addresses:
            changes.addresses[hash] = orjson.dumps(self.addresses[hash])
        return changes

    def _differences(self, entry: WorkingMessage) -> None:
        before = ready_rows(entry.before) if entry.before is not None else []
        after = ready_rows(entry.message)
        self.changes.ready_out.extend(row for row in before if row not in after)
        self.changes.ready_in.extend(row for row in after if row not in before)
        due_before = entry.before.due_at if entry.before is not None else None
        due_after = entry.message.due_at
        if due_before != due_after:
            if due_before is not None:
                self.changes.timers_out.append(TimerRow(due_before, entry.message.id))
            if due_after is not None:
                self.changes.timers_in.append(TimerRow(due_after, entry.message.id))
        self.changes.buckets[entry.message.id] = bucket_of(entry.message.recipient)
        if entry.message.message_class == OTP:
            self.changes.otp.add(entry.message.id)


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
