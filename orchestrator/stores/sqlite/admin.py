"""
The embedded store's slow half: what people, operators and background jobs read and write now and
then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

T = TypeVar("T")
DAY_MS = 86_400_000
ORPHAN_MS = 10 * DAY_MS
TIDY_ROWS = 1_000
LETTERS = "select id, at, origin, reason, detail, headers, body, replayed_at from dead_letters"
"""How many rows one tidying transaction drops at most, so that it never holds up the engine."""


class SqliteAdmin:
    """Mixed into the store; it brings the two connections."""

    _reader: sqlite3.Connection
    messages_ms = 90 * DAY_MS
    events_ms = 30 * DAY_MS
    receipts_ms = 30 * DAY_MS
    dead_letters_ms = 30 * DAY_MS

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        raise NotImplementedError

    async def outbox(self, sink: str, limit: int) -> list[tuple[int, str, str, bytes]]:
        query = (
            "select sequence, id, recipient, body from outbox where sequence > coalesce((select"
            " sequence from sinks where sink=?), 0) order by sequence limit ?"
        )
        return list(self._reader.execute(query, (sink, limit)))

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        query = "insert or replace into sinks (sink, sequence) values (?,?)"
        await self._write(lambda db: db.execute(query, (sink, max(sequences))))

    async def dead_letters(self, before: str | None, limit: int) -> list[dict[str, Any]]:
        query = f"{LETTERS} where id<? order by id desc limit ?"
        return [letter(row) for row in self._reader.execute(query, (before or "~", limit))]

    async def dead_letter(self, id: str) -> dict[str, Any] | None:
        query = f"{LETTERS} where id=?"
        row = self._reader.execute(query, (id,)).fetchone()
        return letter(row) if row else None

    async def resolve_dead_letter(self, id: str, at: int) -> None:
        await self._write(
            lambda db: db.execute("update dead_letters set replayed_at=? where id=?", (at, id))
        )

    async def keep_version(
        self, kind: str, name: str, version: str, document: Mapping[str, Any]
    ) -> None:
        row = (kind, name, version, orjson.dumps(document))
        query = "insert or ignore into versions (kind, name, version, document) values (?,?,?,?)"
        await self._write(lambda db: db.execute(query, row))

    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None:
        query = "select document from versions where kind=? and name=? and version=?"
        row = self._reader.execute(query, (kind, name, version)).fetchone()
        return orjson.loads(row[0]) if row else None

    async def secrets(self, purpose: str) -> list[tuple[int, bytes, int]]:
        """``(id, secret, created_at)``, the newest first."""
        query = "select id, secret, created_at from secrets where purpose=? order by id desc"
        return list(self._reader.execute(query, (purpose,)))

    async def add_secret(
        self, purpose: str, secret: bytes, at: int, *, first: bool = False
    ) -> None:
        query = "insert into secrets (purpose, secret, created_at) select ?1, ?2, ?3"
        if first:
            query += " where not exists (select 1 from secrets where purpose=?1)"
        await self._write(lambda db: db.execute(query, (purpose, secret, at)))

    async def add_api_key(self, id: str, hash: str, scopes: Sequence[str], at: int) -> None:
        row = (id, hash, ",".join(scopes), at)
        query = "insert into api_keys (id, hash, scopes, created_at) values (?,?,?,?)"
        await self._write(lambda db: db.execute(query, row))

    async def api_key(self, hash: str) -> Mapping[str, Any] | None:
        query = "select id, hash, scopes, created_at, revoked_at from api_keys where hash=?"
        row = self._reader.execute(query, (hash,)).fetchone()
        return api_key(row) if row else None

    async def api_keys(self) -> list[Mapping[str, Any]]:
        query = "select id, hash, scopes, created_at, revoked_at from api_keys order by created_at"
        return [api_key(row) for row in self._reader.execute(query)]

    async def revoke_api_key(self, id: str, at: int) -> bool:
        """False where there is no such key, or it was revoked before."""
        query = "update api_keys set revoked_at=? where id=? and revoked_at is null"
        return await self._write(lambda db: db.execute(query, (at, id)).rowcount == 1)

    async def spent(self, day: str) -> dict[str, int]:
        return dict(
            self._reader.execute(
                "select channel, millionths from spending where day=?", (day,)
            ).fetchall()
        )

    async def count_receipts(self, news: Sequence[tuple[str, int, int, int]]) -> None:
        query = (
            "insert into receipt_counts (channel, minute, sent, delivered) values (?,?,?,?) "
            "on conflict (channel, minute) do update "
            "set sent = sent + excluded.sent, delivered = delivered + excluded.delivered"
        )
        await self._write(lambda db: db.executemany(query, news))

    async def receipt_counts(self, since_minute: int) -> list[tuple[str, int, int, int]]:
        query = "select channel, minute, sent, delivered from receipt_counts where minute >= ?"
        return list(self._reader.execute(query, (since_minute,)))

    async def tidy(self, now: int) -> None:
        """Drop what is past its time, a bounded number of rows at once."""
        jobs = [
            (
                "delete from orphans where rowid in (select rowid from orphans where at<? limit ?)",
                now - ORPHAN_MS,
            ),
            (
                (
                    "delete from raw_receipts where at<? and rowid in (select rowid from"
                    " raw_receipts order by rowid limit ?)"
                ),
                now - self.receipts_ms,
            ),
            (
                (
                    "delete from events where (source, id) in (select source, id from events where"
                    " accepted_at<? order by accepted_at limit ?)"
                ),
                now - self.events_ms,
            ),
            (
                (
                    "delete from dead_letters where id in (select id from dead_letters where at<?"
                    " order by id limit ?)"
                ),
                now - self.dead_letters_ms,
            ),
            (
                (
                    "delete from outbox where sequence in (select sequence from outbox where"
                    " sequence<=(select coalesce(min(sequence),0) from sinks) and ?>0 limit ?)"
                ),
                now,
            ),
            (
                (
                    "delete from dedupes where (policy, recipient, key) in "
                    "(select policy, recipient, key from dedupes where until<? limit ?)"
                ),
                now,
            ),
            (
                (
                    "delete from receipt_counts where (channel, minute) in "
                    "(select channel, minute from receipt_counts where minute<? limit ?)"
                ),
                (now - 2 * DAY_MS) // 60_000,
            ),
        ]
        for query, at in jobs:
            await self._write(lambda db, query=query, at=at: db.execute(query, (at, TIDY_ROWS)))  # type: ignore[misc]
        await self._write(lambda db: drop_messages(db, now - self.messages_ms))


def drop_messages(db: sqlite3.Connection, before: int) -> None:
    """Some of the messages that ended long ago, with all that is kept of them."""
    query = (
        "select id from messages where created_at<? and finished_at is not null "
        "and not exists (select 1 from timers where message=messages.id) order by id limit ?"
    )
    ids = [row[0] for row in db.execute(query, (before, TIDY_ROWS))]
    for table in ("history", "message_events", "provider_references"):
        db.executemany(f"delete from {table} where message=?", [(id,) for id in ids])
    db.executemany("delete from messages where id=?", [(id,) for id in ids])


def letter(row: Sequence[Any]) -> dict[str, Any]:
    names = ("id", "at", "origin", "reason", "detail", "headers", "body", "replayed_at")
    found = dict(zip(names, row, strict=True))
    found["headers"] = orjson.loads(found["headers"])
    return found


def api_key(row: Sequence[Any]) -> Mapping[str, Any]:
    id, hash, scopes, created_at, revoked_at = row
    return {
        "id": id,
        "hash": hash,
        "scopes": tuple(scopes.split(",")),
        "created_at": created_at,
        "revoked_at": revoked_at,
    }
