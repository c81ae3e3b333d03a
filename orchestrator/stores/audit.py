"""
The audit log: who has changed the installation or looked at personal data.

Each entry has a hash over the one before and over itself, so an entry that is changed, left out or
put in later breaks the chain. Entries name people by keyed hashes alone, so none ever has to be
changed for an erasure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

START = ""
"""What the first entry has in the place of a hash before it."""
PAGE = 1_000


class AuditNote(NamedTuple):
    """
    What is to be written down. A note that is written twice under one ``id`` (a ULID) is one entry.
    """

    id: str
    at: int
    actor: str
    """``key:<its name>``, ``user:<login>``, ``signal``, or the listener that needs no key."""
    action: str
    subject: str
    details: Mapping[str, Any] = {}


class AuditEntry(NamedTuple):
    """An entry as it is stored; ``details`` is the JSON that was hashed."""

    sequence: int
    id: str
    at: int
    actor: str
    action: str
    subject: str
    details: str
    previous: str
    hash: str


class Verification(NamedTuple):
    """
    ``broken`` says at which entry the chain breaks and how, "" if it holds. ``expected_found`` is
    None if no hash was to be looked for.
    """

    entries: int
    first: AuditEntry | None
    last: AuditEntry | None
    broken: str
    expected_found: bool | None


class AuditStore(Protocol):
    """What operators did."""

    async def append_audit(self, note: AuditNote) -> None:
        """Write an entry of its own."""

    async def audit_entries(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        since: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """The newest first: with an id from ``since`` on, and below ``before``."""

    async def audit_after(self, sequence: int, limit: int) -> list[AuditEntry]:
        """The entries behind this one, in their order."""


def reloaded(id: str, at: int, actor: str, hash: str) -> AuditNote:
    """That a configuration of this hash comes into force."""
    return AuditNote(id, at, actor, "configuration.reloaded", "", {"hash": hash})


def entry_of(last: Sequence[Any] | None, note: AuditNote) -> AuditEntry:
    """The entry that follows the ``last`` one (its sequence and hash)."""
    sequence, previous = (last[0] + 1, last[1]) if last is not None else (1, START)
    details = orjson.dumps(dict(note.details), option=orjson.OPT_SORT_KEYS).decode()
    entry = AuditEntry(sequence, *note[:5], details, previous, "")
    return entry._replace(hash=hash_of(entry))


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 over the entry with the hash before it, in hex."""
    return hashlib.sha256(orjson.dumps(list(entry[:-1]))).hexdigest()


async def verify(store: AuditStore, expected: tuple[int, str] | None = None) -> Verification:
    """
    Read the whole log. ``expected`` is the sequence and hash of an entry that somebody has noted
    elsewhere: only by it a log is noticed that was written anew from that entry on, or cut.
    """
    first = last = None
    count, found = 0, None if expected is None else False
    while entries := await store.audit_after(last.sequence if last is not None else 0, PAGE):
        for entry in entries:
            first = first or entry
            if broken := fault(last, entry):
                return Verification(count, first, last, broken, found)
            if expected is not None and entry.sequence == expected[0]:
                found = entry.hash == expected[1]
            count, last = count + 1, entry
    return Verification(count, first, last, "", found)


def fault(last: AuditEntry | None, entry: AuditEntry) -> str:
    """How the chain breaks between two entries, "" if it does not."""
    if last is not None and entry.sequence != last.sequence + 1:
        return f"entries {last.sequence + 1} to {entry.sequence - 1} are missing"
    if last is not None and entry.previous != last.hash:
        return f"entry {entry.sequence} does not follow entry {last.sequence}"
    if last is None and entry.sequence == 1 and entry.previous != START:
        return "entry 1 follows something that is not there"
    if entry.hash != hash_of(entry):
        return f"entry {entry.sequence} was changed"
    return ""
