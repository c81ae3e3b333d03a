"""
PostgreSQL's slow half: what people, operators and background jobs read and write now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from orchestrator.stores.postgres.schema import (
    PARTITION_LOCK,
    SECRETS_LOCK,
    drop_partitions,
    first_id,
    make_partitions,
)

CHANNEL = "kaskad_wake"
DAY_MS = 86_400_000
ORPHAN_MS = 10 * DAY_MS
TIDY_ROWS = 5_000
TIDY_ROUNDS = 20
LETTER = ("id", "at", "origin", "reason", "detail", "headers", "body", "replayed_at")
LETTERS = f"select {', '.join(LETTER)} from dead_letters"
API_KEY = "select id, hash, scopes, created_at, revoked_at from api_keys"


class PostgresAdmin:
    """Mixed into the store; it brings the pool."""

    sinks: tuple[str, ...]
    member: str
    _pool: Any
    _share: tuple[int, ...] | None
    messages_ms = 90 * DAY_MS
    events_ms = 30 * DAY_MS
    receipts_ms = 30 * DAY_MS
    dead_letters_ms = 30 * DAY_MS

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    async def _execute(self, query: str, *values: Any) -> str:
        raise NotImplementedError

    # ---- status events

    async def outbox(self, sink: str, limit: int) -> list[tuple[int, str, str, bytes]]:
        """Those of this process's share: one recipient's are handed on by one process, in order."""
        query = (
            "select sequence, id, recipient, body from outbox where sink=$1 "
            "and ($2::smallint[] is null or bucket = any($2)) order by sequence limit $3"
        )
        return [tuple(row) for row in await self._fetch(query, sink, self._share, limit)]

    async def delivered(self, sink: str, sequences: Sequence[int]) -> None:
        await self._execute(
            "delete from outbox where sink=$1 and sequence = any($2::bigint[])",
            sink,
            list(sequences),
        )

    # ---- dead letters

    async def dead_letters(self, before: str | None, limit: int) -> list[dict[str, Any]]:
        rows = await self._fetch(
            f"{LETTERS} where id<$1 order by id desc limit $2", before or "~", limit
        )
        return [letter(row) for row in rows]

    async def dead_letter(self, id: str) -> dict[str, Any] | None:
        rows = await self._fetch(f"{LETTERS} where id=$1", id)
        return letter(rows[0]) if rows else None

    async def resolve_dead_letter(self, id: str, at: int) -> None:
        await self._execute("update dead_letters set replayed_at=$1 where id=$2", at, id)

    # ---- versions, secrets, keys, money

    async def keep_version(
        self, kind: str, name: str, version: str, document: Mapping[str, Any]
    ) -> None:
        query = "insert into versions values ($1, $2, $3, $4) on conflict do nothing"
        await self._execute(query, kind, name, version, orjson.dumps(document))

    async def version(self, kind: str, name: str, version: str) -> Mapping[str, Any] | None:
        query = "select document from versions where kind=$1 and name=$2 and version=$3"
        rows = await self._fetch(query, kind, name, version)
        return orjson.loads(rows[0][0]) if rows else None

    async def secrets(self, purpose: str) -> list[tuple[int, bytes, int]]:
        """``(id, secret, created_at)``, the newest first."""
        query = "select id, secret, created_at from secrets where purpose=$1 order by id desc"
        return [tuple(row) for row in await self._fetch(query, purpose)]

    async def add_secret(
        self, purpose: str, secret: bytes, at: int, *, first: bool = False
    ) -> None:
        query = "insert into secrets (purpose, secret, created_at) values ($1, $2, $3)"
        async with self._pool.acquire() as connection, connection.transaction():
            if first:
                await connection.execute("select pg_advisory_xact_lock($1)", SECRETS_LOCK)
                if await connection.fetch("select 1 from secrets where purpose=$1", purpose):
                    return
            await connection.execute(query, purpose, secret, at)
            await connection.execute("select pg_notify($1, $2)", CHANNEL, f"{self.member} keys")

    async def add_api_key(self, id: str, hash: str, scopes: Sequence[str], at: int) -> None:
        query = "insert into api_keys (id, hash, scopes, created_at) values ($1, $2, $3, $4)"
        await self._execute(query, id, hash, ",".join(scopes), at)

    async def api_key(self, hash: str) -> Mapping[str, Any] | None:
        rows = await self._fetch(f"{API_KEY} where hash=$1", hash)
        return api_key(rows[0]) if rows else None

    async def api_keys(self) -> list[Mapping[str, Any]]:
        return [api_key(row) for row in await self._fetch(f"{API_KEY} order by created_at")]

    async def revoke_api_key(self, id: str, at: int) -> bool:
        """False where there is no such key, or it was revoked before."""
        done = await self._execute(
            "update api_keys set revoked_at=$1 where id=$2 and revoked_at is null", at, id
        )
        return done == "UPDATE 1"

    async def spent(self, day: str) -> dict[str, int]:
        return {
            row[0]: row[1]
            for row in await self._fetch(
                "select channel, millionths from spending where day=$1", day
            )
        }

    # ---- the outage watch

    async def count_receipts(self, news: Sequence[tuple[str, int, int, int]]) -> None:
        query = (
            "insert into receipt_counts select * from unnest($1::text[], $2::bigint[],"
            " $3::bigint[], $4::bigint[]) on conflict (channel, minute) do update set sent ="
            " receipt_counts.sent + excluded.sent, delivered = receipt_counts.delivered +"
            " excluded.delivered"
        )
        await self._execute(query, *(list(column) for column in zip(*news, strict=True)))

    async def receipt_counts(self, since_minute: int) -> list[tuple[str, int, int, int]]:
        query = "select channel, minute, sent, delivered from receipt_counts where minute >= $1"
        return [tuple(row) for row in await self._fetch(query, since_minute)]

    # ---- tidying

    async def tidy(self, now: int) -> None:
        """
        Make the coming weeks' partitions and drop those that are past; delete the rest a bounded
        number of rows at once. One process of the installation does it, whichever comes first.
        """
        async with self._pool.acquire() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", PARTITION_LOCK):
                return
            try:
                await make_partitions(connection, now)
                await self._drop(connection, now)
                for query, before in self._deletions(now):
                    for _ in range(TIDY_ROUNDS):
                        done = await connection.execute(query, before, TIDY_ROWS)
                        if int(done.rpartition(" ")[2]) < TIDY_ROWS:
                            break
                query = (
                    "delete from outbox where not sink = any ($1::text[]) and queued_at < now() -"
                    " interval '7 days'"
                )
                await connection.execute(query, list(self.sinks))
            finally:
                await connection.execute("select pg_advisory_unlock($1)", PARTITION_LOCK)

    async def _drop(self, connection: Any, now: int) -> None:
        """Whole weeks of messages go at once, but none that still has a live one."""
        oldest = await connection.fetchval("select min(id) from messages")
        before = now - self.messages_ms
        if oldest is None or oldest >= first_id(before):
            for table in ("history", "message_events", "provider_references", "finished"):
                await drop_partitions(connection, table, before)
        await drop_partitions(connection, "raw_receipts", now - self.receipts_ms)

    def _deletions(self, now: int) -> list[tuple[str, int]]:
        """Statements with a bound of time and of rows."""
        some = (
            "delete from {0} where ctid = any (array(select ctid from {0} where {1} < $1 limit $2))"
        )
        return [
            (some.format("events", "accepted_at"), now - self.events_ms),
            (some.format("dedupes", "until"), now),
            (some.format("orphans", "at"), now - ORPHAN_MS),
            (some.format("dead_letters", "at"), now - self.dead_letters_ms),
            (some.format("receipt_counts", "minute"), (now - 2 * DAY_MS) // 60_000),
        ]


def letter(row: Any) -> dict[str, Any]:
    found = dict(zip(LETTER, row, strict=True))
    found["headers"] = orjson.loads(found["headers"])
    return found


def api_key(row: Any) -> Mapping[str, Any]:
    return {**dict(row), "scopes": tuple(row["scopes"].split(","))}
