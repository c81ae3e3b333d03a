"""
PostgreSQL: one store for many processes.

What makes caps, consent and state exact is the lock: a unit takes an advisory lock for each
recipient and then for each address and reference that it touches, in sorted order, before it reads
them, and keeps them until it ends. Nothing else is locked, and no row is rewritten to lock it.
Sessions have timeouts, so a process that stops in the middle of a unit loses it after ten seconds
and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from orchestrator.history.codec import decode_message
from orchestrator.stores.port import (
    ALL_LANES,
    URGENT,
    URGENT_WORD,
    Bucket,
    Changes,
    Loaded,
    LoadedAddresses,
    NeedsMigration,
    ReadyRow,
    StoreAway,
    StoreBusy,
    StoredMessage,
    Wanted,
    WantedAddresses,
    timers_of,
)
from orchestrator.stores.postgres import batch
from orchestrator.stores.postgres.admin import CHANNEL, PostgresAdmin
from orchestrator.stores.postgres.bucket import PostgresBucket
from orchestrator.stores.postgres.members import BEAT_SECONDS, DEAD_AFTER_SECONDS, share_of
from orchestrator.stores.postgres.schema import migrate, migration_status, prepare_partitions

log = structlog.get_logger()

CONNECTIONS_MAX = 8
WAKE_PAUSE_SECONDS = 0.01
SOON_MS = 1_500
"""
A timer that is due sooner is announced to whom it falls; for later ones everybody looks every
second anyway.
"""
SESSION = {
    "application_name": "kaskad",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
    # a plan that wants helpers starts two processes for it, each time: thirty milliseconds for a
    # look at one message
    "max_parallel_workers_per_gather": "0",
    # each statement is planned once, for keys that are looked up one by one, however small its
    # tables were that day
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement met a session that was just being ended
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
)
BUSY = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.UniqueViolationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.OutOfMemoryError,
    TimeoutError,
)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """The driver's errors as the store's."""
    try:
        yield
    except BUSY as error:
        raise StoreBusy(f"{type(error).__name__}: {error}") from error
    except AWAY as error:
        raise StoreAway(f"{type(error).__name__}: {error}") from error


async def nothing(connection: Any) -> None:
    """What is done to a connection that goes back to the pool: no session state is ever changed."""


class PostgresStore(PostgresAdmin):
    """
    ``url`` as libpq takes it; ``now`` is UTC milliseconds. ``member`` names this process among
    those that share the store; ``sinks`` are the names of those who are told about status changes.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        member: str,
        now: Callable[[], int],
        sinks: tuple[str, ...] = (),
        migrate: bool = True,
    ) -> None:
        self._url = url
        self._now = now
        self.member = member
        self.sinks = sinks
        self.remembered = batch.MessageCache()
        self._migrate = migrate
        self._share: tuple[int, ...] | None = None
        self._mine: frozenset[int] = frozenset()
        self._wake: Callable[[str], None] = lambda queue: None
        self._news: set[str] = set()
        self._announcing: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._ears: Any = None
        self._members: tuple[str, ...] = ()

    # ---- opening and closing

    async def open(self) -> None:
        """
        Connect and migrate. Raises ``OSError`` where the database cannot be reached or must be
        migrated first.
        """
        try:
            await self._prepare()
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=CONNECTIONS_MAX,
                reset=nothing,
                server_settings=SESSION,
                timeout=10,
            )
        except (*AWAY, asyncpg.PostgresError, TimeoutError, ValueError) as error:
            if isinstance(error, NeedsMigration):
                raise
            raise ConnectionError(
                f"the store at {place(self._url)} cannot be used: {error}"
            ) from error

    async def join(self) -> None:
        await self._beat()
        self._beating = asyncio.create_task(self._keep_beating(), name="store:members")

    async def _prepare(self) -> None:
        """The schema, before anything rests on it."""
        connection = await asyncpg.connect(self._url, timeout=10)
        try:
            if self._migrate:
                await migrate(connection)
                await prepare_partitions(connection, self._now())
            elif not all((await migration_status(connection)).values()):
                raise NeedsMigration(
                    f"the store at {place(self._url)} needs a migration: run `kaskad migrate up`,"
                    " or set `migrate: auto`"
                )
        finally:
            await connection.close()

    async def leave(self) -> None:
        """Sign off, so that the others take over at once."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        self._beating = None
        try:
            async with asyncio.timeout(2):
                await self._execute("delete from members where id = $1", self.member)
                await self._execute("select pg_notify($1, $2)", CHANNEL, f"{self.member} members")
        except (StoreBusy, TimeoutError):
            log.info("store.leave_failed", member=self.member)

    async def close(self) -> None:
        await self.leave()
        if self._announcing is not None:
            await asyncio.gather(self._announcing, return_exceptions=True)
        if self._ears is not None:
            self._ears.terminate()
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    # ---- a batch

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[PostgresUnit]:
        async with translated(), self._pool.acquire(timeout=10) as connection:
            await connection.execute("begin")
            unit = PostgresUnit(self, connection)
            try:
                yield unit
            finally:
                if not unit.committed:
                    await undo(connection)

    async def load(self, wanted: Wanted) -> Loaded:
        async with translated(), self._pool.acquire(timeout=10) as connection:
            return await batch.load(connection, wanted, self.remembered, lock=False)

    async def addresses(self, hashes: Collection[str]) -> dict[str, dict[str, Any]]:
        async with translated(), self._pool.acquire(timeout=10) as connection:
            return (
                await batch.load_addresses(connection, WantedAddresses(set(hashes)), lock=False)
            ).addresses

    def bucket(self, provider: str, rate: float, monotonic: Callable[[], float]) -> Bucket:
        return PostgresBucket(self._fetch, provider, rate, monotonic)

    # ---- what waits

    async def claim(
        self,
        queue: str,
        limit: int,
        taken: Collection[tuple[str, int]],
        lanes: tuple[int, int] = ALL_LANES,
    ) -> list[ReadyRow]:
        query = (
            "select lane, since, message, step from ready where queue=$1 and ($2::smallint[] is"
            " null or bucket = any($2)) and lane between $4 and $5 order by lane, since, message,"
            " step limit $3"
        )
        rows = await self._fetch(query, queue, self._share, limit + len(taken), *lanes)
        free = [ReadyRow(queue, *row) for row in rows if (row["message"], row["step"]) not in taken]
        return free[:limit]

    async def queues(self) -> list[str]:
        # a loose index scan: one step of the index for each queue, however many rows wait in it
        query = (
            "with recursive q(queue) as ((select min(queue) from ready) union all select (select"
            " min(queue) from ready where queue > q.queue) from q where q.queue is not null) select"
            " queue from q where queue is not null"
        )
        return [row[0] for row in await self._fetch(query)]

    async def due(self, now: int, limit: int, otp: bool = False) -> list[tuple[int, str]]:
        query = (
            f"select due_at, message from timers where due_at <= $1 and {timers_of(otp)} "
            "and ($2::smallint[] is null or bucket = any($2)) order by due_at, message limit $3"
        )
        return [tuple(row) for row in await self._fetch(query, now, self._share, limit)]

    async def next_due(self, otp: bool = False) -> int | None:
        query = (
            f"select due_at from timers where {timers_of(otp)} and ($1::smallint[] is null or"
            " bucket = any($1)) order by due_at limit 1"
        )
        rows = await self._fetch(query, self._share)
        return rows[0][0] if rows else None

    async def depths(self) -> dict[tuple[str, int], int]:
        """Of this process's share: the processes' figures add up."""
        query = (
            "select q.queue, l.lane, (select count(*) from (select 1 from ready r where r.queue ="
            " q.queue and r.lane = l.lane and ($2::smallint[] is null or r.bucket = any($2)) limit"
            " 10000) counted) from unnest($1::text[]) q (queue), generate_series(0, 3) l (lane)"
        )
        return {
            (row[0], row[1]): row[2]
            for row in await self._fetch(query, await self.queues(), self._share)
        }

    # ---- for people

    async def message(self, id: str) -> StoredMessage | None:
        return await batch.stored_message(self._fetch, id)

    async def messages(
        self,
        *,
        recipient: str | None = None,
        policy: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[StoredMessage]:
        given = {"recipient=": recipient, "policy=": policy, "status=": status, "id<": before}
        values = {clause: value for clause, value in given.items() if value is not None}
        where = (
            " and ".join(f"{clause}${number}" for number, clause in enumerate(values, start=1))
            or "true"
        )
        half = f"(select id, state from {{}} where {where} order by id desc limit {int(limit)})"
        query = (
            f"select u.state, e.document from ({half.format('messages')} union all"
            f" {half.format('finished')}) u left join message_events e on e.message = u.id order by"
            f" u.id desc limit {int(limit)}"
        )
        rows = await self._fetch(query, *values.values())
        return [
            StoredMessage(decode_message(state), batch.event_of(event)) for state, event in rows
        ]

    async def recipient(self, id: str) -> dict[str, Any] | None:
        return (await self.load(Wanted(recipients={id}))).recipients.get(id)

    # ---- the other processes

    def on_wake(self, wake: Callable[[str], None]) -> None:
        self._wake = wake

    def announce(self, changes: Changes) -> None:
        """Tell the others what a batch has left to them; several batches in one word."""
        if self._members == (self.member,):
            return
        theirs = {
            message for message, bucket in changes.buckets.items() if bucket not in self._mine
        }
        works = self._beating is not None
        for row in changes.ready_in:
            if row.lane == URGENT and works:
                continue  # sent by this process itself
            if row.message in theirs:
                self._news.add(f"{URGENT_WORD}{row.queue}" if row.lane == URGENT else row.queue)
        if any(
            message in theirs and at < changes.at + SOON_MS for at, message in changes.timers_in
        ):
            self._news.add("timers")
        if self._news and (self._announcing is None or self._announcing.done()):
            self._announcing = asyncio.create_task(self._announce(), name="store:wake")

    async def _announce(self) -> None:
        await asyncio.sleep(WAKE_PAUSE_SECONDS)
        news, self._news = sorted(self._news), set()
        words = [f"{self.member} {queue}" for queue in news]
        try:
            await self._execute(
                "select pg_notify($1, word) from unnest($2::text[]) as w (word)", CHANNEL, words
            )
        except StoreBusy as error:
            log.info("store.wake_failed", why=str(error))

    def _heard(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        speaker, _, queue = payload.partition(" ")
        if speaker == self.member:
            return
        if queue == "members" and self._beating is not None:
            asyncio.get_running_loop().create_task(self._beat())
            return
        self._wake(queue)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._beat()
            except StoreBusy as error:
                log.warning("store.unreachable", why=str(error))

    async def _beat(self) -> None:
        """Say that this process lives, see who else does, and keep an ear open for them."""
        query = (
            "with me as (insert into members values ($1, clock_timestamp()) on conflict (id) do"
            " update set seen_at = excluded.seen_at), dead as (delete from members where seen_at <"
            " clock_timestamp() - make_interval(secs => 20 * $2) and id <> $1) select id from"
            " members where seen_at > clock_timestamp() - make_interval(secs => $2) and id <> $1"
        )
        rows = await self._fetch(query, self.member, DEAD_AFTER_SECONDS)
        members = tuple(sorted({self.member, *(row[0] for row in rows)}))
        if members != self._members:
            self._share = share_of(self.member, members)
            self._mine = frozenset(self._share or ())
            log.info(
                "store.members_changed",
                members=len(members),
                buckets=len(self._share) if self._share is not None else None,
            )
            joined = self.member not in self._members
            self._members = members
            if joined:
                await self._execute("select pg_notify($1, $2)", CHANNEL, f"{self.member} members")
            self._wake("members")
        if self._ears is None or self._ears.is_closed():
            async with translated():
                self._ears = await asyncpg.connect(self._url, timeout=10, server_settings=SESSION)
                await self._ears.add_listener(CHANNEL, self._heard)

    # ---- the driver

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        async with translated(), self._pool.acquire(timeout=10) as connection:
            return list(await connection.fetch(query, *values))

    async def _execute(self, query: str, *values: Any) -> str:
        async with translated(), self._pool.acquire(timeout=10) as connection:
            return str(await connection.execute(query, *values))


class PostgresUnit:
    """One transaction on a connection of its own."""

    def __init__(self, store: PostgresStore, connection: Any) -> None:
        self._store = store
        self._connection = connection
        self.committed = False

    async def load(self, wanted: Wanted) -> Loaded:
        async with translated():
            return await batch.load(self._connection, wanted, self._store.remembered, lock=True)

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        async with translated():
            return await batch.load_addresses(self._connection, wanted, lock=True)

    async def commit(self, changes: Changes) -> None:
        async with translated():
            version = await batch.write(self._connection, changes, self._store.sinks)
            await self._connection.execute("commit")
            self.committed = True
        self._store.remembered.take(changes, version)
        self._store.announce(changes)


async def undo(connection: Any) -> None:
    """Roll back; a session that cannot even do that is ended, which comes to the same."""
    try:
        await connection.execute("rollback")
    except (*AWAY, *BUSY, asyncpg.PostgresError):
        connection.terminate()


def place(url: str) -> str:
    """Where a store is, without its password."""
    return url.rpartition("@")[2] if "@" in url else url.partition("://")[2]
