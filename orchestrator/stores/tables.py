"""
The ports that both stores implement alike, one class for each; only their SQL may differ.

Here is also what the two share of a batch: the statements that most batches do not need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from orchestrator.core.counts import day_number
from orchestrator.core.message import Message
from orchestrator.history.codec import decode_history, decode_message
from orchestrator.primitives.ids import made_at
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.audit_tables import AuditTable
from orchestrator.stores.code_tables import CodeTables, code_writes
from orchestrator.stores.counts import CounterTables, CountTable
from orchestrator.stores.dead_letter_tables import DeadLetterTable
from orchestrator.stores.item_tables import InboxTables, item_writes
from orchestrator.stores.journey_tables import JourneyTables, journey_writes
from orchestrator.stores.rows import (
    ALL_LANES,
    ApiKeyRow,
    Changes,
    PauseRow,
    ReadyRow,
    SecretRow,
    StatusEvent,
    StepKey,
    StoredMessage,
    TimerRow,
)
from orchestrator.stores.sql import Driver

DAY_MS = 86_400_000
SECRETS_KEPT_MS = 400 * DAY_MS
"""After they were replaced: as long as their tokens are good for."""
SPENDING_KEPT_MS = 400 * DAY_MS
DEAD_LETTERS_MAX = 100_000
CONTACTS_AT_ONCE = 1_000
RECIPIENTS_AT_ONCE = 1_000
NO_EVENT = b'{"ce":{},"data":{}}'


def secret_to_add(purpose: str, secret: bytes, at: int, unless_since: int | None) -> list[Any]:
    """The statement that adds a secret, with its parameters."""
    if unless_since is None:
        return ["add_secret", purpose, secret, at]
    return ["add_secret_unless_since", purpose, secret, at, unless_since]


class BacklogTable(Driver):
    """Implements ``BacklogStore``."""

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[StepKey],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        rows = await self.fetch("claim", queue, *lanes, limit + len(taken), *self.share)
        return [ReadyRow(queue, *row) for row in rows if (row[2], row[3]) not in taken][:limit]

    async def queues(self) -> list[str]:
        return [row[0] for row in await self.fetch("queues")]

    async def depths(self, everyone: bool = False) -> dict[tuple[str, int], int]:
        """The depths of this process's share, so that the processes' figures add up, or of all."""
        rows = await self.fetch("depths", *(self.all_shares if everyone else self.share))
        return {(queue, lane): count for queue, lane, count in rows}


class TimerTable(Driver):
    """Implements ``TimerStore``."""

    async def due(self, now: int, limit: int, otp: bool = False) -> list[TimerRow]:
        name = "due_otp" if otp else "due"
        return list(map(TimerRow._make, await self.fetch(name, now, limit, *self.share)))

    async def timers_after(self, after: TimerRow, limit: int) -> list[TimerRow]:
        rows = await self.fetch("timers_after", *after, limit, *self.share)
        return list(map(TimerRow._make, rows))

    async def unexamined(self, digest: str) -> list[int]:
        return [row[0] for row in await self.fetch("unexamined", digest, *self.share)]

    async def examined(self, buckets: Sequence[int], digest: str) -> None:
        await self.execute_many("examined", [(bucket, digest) for bucket in sorted(buckets)])

    async def under_way(self, after: TimerRow, limit: int) -> list[tuple[TimerRow, Message]]:
        rows = await self.fetch("under_way", *after, limit)
        return [(TimerRow(*row[:2]), decode_message(row[2])) for row in rows]

    async def unfinished_after(
        self, after: str, limit: int, everyone: bool = False
    ) -> list[tuple[str, bool]]:
        share = self.all_shares if everyone else self.share
        rows = await self.fetch("unfinished_after", after, limit, *share)
        return [(id, bool(timed)) for id, timed in rows]

    async def next_due(self, otp: bool = False) -> int | None:
        rows = await self.fetch("next_due_otp" if otp else "next_due", *self.share)
        return rows[0][0] if rows else None


class MessageTables(Driver):
    """Implements ``MessageStore``."""

    async def message(self, id: str) -> StoredMessage | None:
        rows = await self.fetch("message", id)
        if not rows:
            return None
        lines = (*await self.fetch("history_began", id), *await self.fetch("history", id))
        history = tuple(decode_history(b"".join(row[0] for row in lines)))
        return StoredMessage(decode_message(rows[0][0]), event_of(rows[0][1]), history)

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
        given = {
            "policy =": policy,
            "status =": status,
            "reason =": reason,
            "id >=": since,
            "id <": before,
        }
        clauses: list[str] = []
        values: list[Any] = []
        if recipients is not None:
            values += recipients
            places = ", ".join(f"{self.parameter}{n}" for n in range(1, len(values) + 1))
            clauses.append(f"recipient in ({places or 'null'})")
        for clause, value in given.items():
            if value is not None:
                values.append(value)
                clauses.append(f"{clause} {self.parameter}{len(values)}")
        where = " and ".join(clauses) or "true"
        live = where if reason is None else "false"  # a message has its reason once it has ended
        order = "asc" if oldest_first else "desc"
        text = self.queries["messages"].format(
            where=where, live=live, order=order, limit=int(limit)
        )
        rows = await self.fetch_text(text, *values)
        return [StoredMessage(decode_message(state), event_of(event)) for state, event in rows]

    async def recipient(self, id: str) -> dict[str, Any] | None:
        rows = await self.fetch("recipient", id)
        return orjson.loads(rows[0][0]) if rows else None

    async def recipients_after(self, after: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.fetch("recipients_after", after, limit)
        return [(id, orjson.loads(document)) for id, document in rows]

    async def unowned_addresses(self, after: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.fetch("unowned_addresses", after, limit)
        return [(hash, orjson.loads(document)) for hash, document in rows]

    async def joined_events(self, messages: Collection[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for message, data in await self.fetch("joined_events", self.many(messages)):
            found.setdefault(message, []).append(orjson.loads(data))
        return found

    async def owners(self, hashes: Collection[str], limit: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for hash, recipient in await self.fetch("owners", self.many(hashes), limit):
            found.setdefault(hash, []).append(recipient)
        return found


class OutboxTable(Driver):
    """The half of ``OutboxStore`` that reads: one recipient's events go through one process."""

    async def waiting_statuses(self, sink: str) -> int:
        return int((await self.fetch("waiting_statuses", sink, *self.share))[0][0])

    async def outbox(self, sink: str, limit: int) -> list[StatusEvent]:
        return list(map(StatusEvent._make, await self.fetch("outbox", sink, limit, *self.share)))


class VersionTable(Driver):
    """Implements ``VersionStore``."""

    async def keep_version(
        self, kind: str, name: str, version: str, document: Mapping[str, Any]
    ) -> None:
        await self.execute("keep_version", kind, name, version, orjson.dumps(document))

    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None:
        rows = await self.fetch("version", kind, name, version)
        return orjson.loads(rows[0][0]) if rows else None

    async def versions(self, kind: str) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in await self.fetch("versions", kind)]


class KeyTables(Driver):
    """Implements ``KeyStore`` for one process."""

    async def secrets(self, purpose: str) -> list[SecretRow]:
        return [SecretRow(*row) for row in await self.fetch("secrets", purpose)]

    async def add_secret(
        self,
        purpose: str,
        secret: bytes,
        at: int,
        *,
        unless_since: int | None = None,
        note: AuditNote | None = None,
    ) -> None:
        name, *values = secret_to_add(purpose, secret, at, unless_since)
        await self.change(name, values, note)

    async def add_api_key(self, row: ApiKeyRow, note: AuditNote | None = None) -> None:
        rate = row.rate or (None, None)
        values = (*row[:2], ",".join(row.scopes), row.created_at, row.name, row.expires_at, *rate)
        await self.change("add_api_key", values, note)

    async def api_key(self, hash: str) -> ApiKeyRow | None:
        rows = await self.fetch("api_key", hash)
        return api_key_row(rows[0]) if rows else None

    async def api_keys(self) -> list[ApiKeyRow]:
        return [api_key_row(row) for row in await self.fetch("api_keys")]

    async def use_api_keys(self, used: Sequence[tuple[str, int]]) -> None:
        await self.execute_many("use_api_key", sorted(used))

    async def revoke_api_key(self, id: str, at: int, note: AuditNote | None = None) -> bool:
        return await self.change("revoke_api_key", (at, id), note) == 1


class PauseTable(Driver):
    """Implements ``PauseStore``."""

    async def pauses(self) -> list[PauseRow]:
        return [PauseRow(*row) for row in await self.fetch("pauses")]


class RetentionTimes(Driver):
    """The times of ``RetentionStore``, and what both stores purge alike."""

    messages_ms = 90 * DAY_MS
    events_ms = 30 * DAY_MS
    receipts_ms = 30 * DAY_MS
    dead_letters_ms = 30 * DAY_MS
    audit_ms = 730 * DAY_MS
    counts_ms = 1_095 * DAY_MS
    profiles_ms: int | None = None

    def limits(self, now: int) -> dict[str, int]:
        """The statements that delete a bounded number of rows, each with the end of their time."""
        return {
            "purge_events": now - self.events_ms,
            "purge_dedupes": now,
            "purge_orphans": now - 10 * DAY_MS,
            "purge_dead_letters": now - self.dead_letters_ms,
            "purge_receipt_counts": (now - 2 * DAY_MS) // 60_000,
            "purge_dead_letters_beyond": DEAD_LETTERS_MAX,
            "forget_withdrawn": now,
            "purge_items": now,
            "purge_audit": now - self.audit_ms,
            "purge_journey_history": now - self.messages_ms,
            "purge_journeys": now - self.messages_ms,
            "purge_counts": day_number(now - self.counts_ms, "UTC"),
            "purge_count_keys": day_number(now - self.counts_ms, "UTC"),
        }

    async def purge_the_rare(self, now: int) -> None:
        """
        What grows slowly: signing keys that no token in use was made with, the sums of past years,
        and a part of the contacts, where the next call goes on.
        """
        await self.execute("purge_secrets", now - SECRETS_KEPT_MS)
        day = datetime.fromtimestamp((now - SPENDING_KEPT_MS) / 1000, UTC).date()
        await self.execute("purge_spending", day.isoformat())
        rows = await self.fetch("walk_contacts", *self._contacts_seen, CONTACTS_AT_ONCE)
        old = [(hash, channel) for hash, channel, at in rows if at < now - self.messages_ms]
        if old:
            await self.execute_many("purge_contact", old)
        done = len(rows) < CONTACTS_AT_ONCE
        self._contacts_seen = ("", "") if done else (rows[-1][0], rows[-1][1])

    async def idle_recipients(self, now: int) -> list[tuple[str, dict[str, Any]]]:
        """
        A message's time is kept with its recipient when this comes by, since the message itself
        may be gone the next time.
        """
        if self.profiles_ms is None:
            return []
        before = now - max(self.profiles_ms, self.messages_ms)
        rows = await self.fetch("walk_recipients", self._recipients_seen, RECIPIENTS_AT_ONCE)
        self._recipients_seen = rows[-1][0] if len(rows) == RECIPIENTS_AT_ONCE else ""
        written = [(id, made_at(last)) for id, seen, last in rows if last and seen < made_at(last)]
        if written:
            await self.execute_many("see_recipient", written)
        idle = [id for id, seen, last in rows if last is None and seen < before]
        found = [(id, await self.fetch("recipient", id)) for id in idle]
        return [(id, orjson.loads(row[0][0])) for id, row in found if row]

    _contacts_seen = ("", "")
    _recipients_seen = ""


class Tables(
    BacklogTable,
    TimerTable,
    MessageTables,
    InboxTables,
    JourneyTables,
    OutboxTable,
    DeadLetterTable,
    VersionTable,
    KeyTables,
    AuditTable,
    CounterTables,
    CountTable,
    PauseTable,
    CodeTables,
):
    """All of these."""


def rare_writes(changes: Changes) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """The names of the statements of ``rare_writes.sql`` that a batch needs, with their rows."""
    if changes.matched:
        yield (
            "match_events",
            [(*row[:2], row[3], orjson.dumps(row[4]).decode()) for row in changes.matched],
        )
    if changes.joined:
        yield "add_joined", changes.joined
    if changes.joined_copied:
        yield "copy_joined", changes.joined_copied
    if changes.orphans:
        yield "add_orphans", changes.orphans
    if changes.orphans_joined:
        yield "drop_orphans", changes.orphans_joined
    if changes.dead_letters:
        headers = (orjson.dumps(letter.headers).decode() for letter in changes.dead_letters)
        letters = zip(changes.dead_letters, headers, strict=True)
        yield "add_dead_letters", [(*letter[:5], text, letter.body) for letter, text in letters]
    yield from (*item_writes(changes), *journey_writes(changes), *code_writes(changes))
    if changes.pauses:
        yield "put_pauses", changes.pauses
    if changes.hours:
        yield "add_hours", sorted(changes.hours.items())
    if changes.spent:
        yield "add_spending", [(*key, changes.spent[key]) for key in sorted(changes.spent)]


def api_key_row(row: Sequence[Any]) -> ApiKeyRow:
    rate = None if row[7] is None else (row[7], row[8])
    id, hash, scopes, created_at, revoked_at, name, expires_at, _, _, used_at = row
    return ApiKeyRow(
        *(id, hash, tuple(scopes.split(",")), created_at, revoked_at),
        *(name, expires_at, rate, used_at),
    )


def event_of(document: bytes | None) -> dict[str, Any]:
    """A message's event; an empty one if its recipient was erased."""
    event: dict[str, Any] = orjson.loads(document or NO_EVENT)
    return event
