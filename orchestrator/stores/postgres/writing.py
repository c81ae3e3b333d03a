"""The writing of a batch to PostgreSQL: most batches need three statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from orchestrator.core.message import TERMINAL, Message
from orchestrator.history.codec import encode_message
from orchestrator.stores.counts import count_rows, key_rows
from orchestrator.stores.named import named_in
from orchestrator.stores.postgres.database import QUERIES, append_audit
from orchestrator.stores.postgres.loading import columns
from orchestrator.stores.rows import Changes, ReadyRow, bucket_of
from orchestrator.stores.tables import rare_writes


async def write(connection: Any, changes: Changes, sinks: Sequence[str], slot: int) -> str:
    """
    Everything of one batch. Statements that would write nothing are left out. ``slot`` is this
    process's row of counts. Returns the version that live messages now have.
    """
    version = ""
    if changes.changed or changes.created or changes.timers_in or changes.timers_out:
        version = await connection.fetchval(
            QUERIES["write"], *message_columns(changes), *waiting_columns(changes)
        )
    people = [(id, bucket_of(id), document) for id, document in changes.recipients.items()]
    contacts = {row[:2]: row for row in changes.contacts}
    owners = changes.owners_out or changes.owners_in
    if people or changes.addresses or contacts or changes.references or owners:
        await connection.execute(
            QUERIES["write_people"],
            *columns(people, 3),
            *columns(list(changes.addresses.items()), 2),
            *columns(list(contacts.values()), 6),
            *columns(changes.references, 4),
            *columns(changes.owners_out, 2),
            *columns(changes.owners_in, 2),
            changes.at,
        )
    windows = {row[:3]: row for row in changes.dedupes}
    statuses = [(row.id, bucket_of(row.recipient), *row[1:]) for row in changes.outbox if sinks]
    if changes.events or changes.raw_receipts or windows or statuses:
        events = [(*row[:4], orjson.dumps(row.messages).decode(), row[5]) for row in changes.events]
        await connection.execute(
            QUERIES["write_events"],
            *columns(sorted(events), 6),
            *columns(changes.raw_receipts, 3),
            *columns(list(windows.values()), 5),
            list(sinks),
            *columns(statuses, 4),
        )
    if added := count_rows(changes.counts, slot):
        keys = key_rows(changes.count_keys, changes.counts)
        await connection.execute(QUERIES["add_counts"], *columns(keys, 12), *columns(added, 13))
    for name, rows in rare_writes(changes):
        await connection.executemany(QUERIES[name], rows)
    await append_audit(connection, changes.audit)
    for person in changes.unwanted:
        for text in person.texts():
            found = await connection.fetch(QUERIES["dead_letters_with"], text)
            await connection.execute(QUERIES["drop_dead_letters"], named_in(person, found))
    for recipient in changes.erased:
        await erase(connection, recipient)
    return version


def message_columns(changes: Changes) -> list[list[Any]]:
    """The columns of new, changed and finished messages, of their history and their beginnings."""
    created, changed, finished, lines, began = [], [], [], [], []
    for message, event, history in changes.created:
        if message.status in TERMINAL:
            finished.append(finished_row(message))
        else:
            created.append((*head(message), encode_message(message)))
        began.append((message.id, orjson.dumps(event), history))
    for message, history in changes.changed:
        if message.status in TERMINAL:
            finished.append(finished_row(message))
        else:
            changed.append((message.id, message.status.value, encode_message(message)))
        if history:
            lines.append((message.id, changes.at, history))
    return [
        *columns(created, 7),
        *columns(changed, 3),
        *columns(finished, 9),
        *columns(lines, 3),
        *columns(began, 3),
    ]


def head(message: Message) -> tuple[Any, ...]:
    """The first columns of ``messages`` and ``finished``."""
    return (
        message.id,
        bucket_of(message.recipient),
        message.recipient,
        message.policy,
        message.status.value,
        message.created_at,
    )


def finished_row(message: Message) -> tuple[Any, ...]:
    at = message.finished_at if message.finished_at is not None else message.created_at
    reason = message.reason.value if message.reason is not None else None
    return (*head(message), at, encode_message(message), reason)


def waiting_columns(changes: Changes) -> list[list[Any]]:
    """The columns of backlog rows and timers to remove and to add."""

    def key(row: ReadyRow) -> tuple[str, int, int, str, int]:
        return (row.queue, row.lane, row.since, row.message, row.step)

    buckets, lane = changes.buckets, changes.timer_lane
    return [
        *columns([key(row) for row in changes.ready_out], 5),
        *columns([(*key(row), buckets[row.message]) for row in changes.ready_in], 6),
        *columns(changes.timers_out, 2),
        *columns([(at, id, buckets[id], lane(id)) for at, id in changes.timers_in], 4),
    ]


async def erase(connection: Any, recipient: str) -> None:
    """Delete everything of a recipient but the bare states of their messages."""
    for table in ("recipient", "items", "inbox"):
        await connection.execute(QUERIES[f"erase_{table}"], recipient)
    ids = [row[0] for row in await connection.fetch(QUERIES["messages_of"], recipient)]
    for table in ("message_events", "joined_events", "history", "contacts"):
        await connection.execute(QUERIES[f"erase_{table}"], ids)
