"""
PostgreSQL: can it be reached and written, and do its settings keep our promises.

A batch locks every recipient and address it touches by an advisory lock, and those live in one
table of fixed size that all sessions share; where it is full, a batch fails with "out of shared
memory". Acceptance is a promise of durability, so the settings that give it up are errors, not
matters of taste. Everything is seen through a session as the service opens it, so what a session
sets for itself (timeouts, ``synchronous_commit``) is not held against the server.

Reference: PostgreSQL documentation, chapters 20.12 (lock management), 20.5 (write-ahead log),
13.2.1 (read committed).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import asyncpg

from orchestrator.configuration.settings import Settings
from orchestrator.configuration.urls import is_loopback
from orchestrator.doctor.findings import Finding, by_limits, error, fine, unreachable, warning
from orchestrator.stores.postgres.members import DEAD_AFTER_SECONDS
from orchestrator.stores.postgres.schema import BY_MESSAGE, WEEK_MS, migration_status, start_of
from orchestrator.stores.postgres.session import CONNECTIONS_MAX, SESSION

AREA = "store"
VERSION_LEAST = 13
CONNECT_SECONDS = 5.0
QUERY_SECONDS = 10.0
LOCKS_PER_BATCH = 1_300
LOCKS_SPARE = 1.25
CONNECTIONS_PER_PROCESS = CONNECTIONS_MAX + 2
"""The pool, the one that listens, and one for migrations or a command-line verb."""
BATCH_TIMEOUT_MS = 10_000
COMMITS = 7
COMMIT_WARNING_SECONDS, COMMIT_ERROR_SECONDS = 0.02, 0.5
SKEW_WARNING_SECONDS, SKEW_ERROR_SECONDS = 0.5, 10.0
XIDS_WARNING, XIDS_ERROR = 500_000_000, 1_500_000_000
NAMES = (
    *(
        "server_version_num",
        "server_version",
        "server_encoding",
        "synchronous_commit",
        "fsync",
        "full_page_writes",
    ),
    *(
        "max_connections",
        "superuser_reserved_connections",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    ),
    *(
        "default_transaction_isolation",
        "default_transaction_read_only",
        "idle_session_timeout",
        "autovacuum",
    ),
    "transaction_timeout",
)
Values = Mapping[str, str]


async def look_at_postgres(settings: Settings, processes: int) -> list[Finding]:
    """Everything about a served store, as the role that the configuration names sees it."""
    url = settings.store.url.get_secret_value()
    where = place(url)
    try:
        db = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=QUERY_SECONDS, server_settings=SESSION
        )
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InterfaceError,
        ValueError,
    ) as problem:
        return [
            error(
                AREA,
                "connect",
                where,
                said(problem),
                "check the role, its password and the database's name in `store`",
            )
        ]
    except (OSError, TimeoutError, asyncpg.PostgresError) as problem:
        fix = "check that it runs, its address, pg_hba.conf and the firewall"
        return [unreachable(AREA, "connect", where, said(problem), fix)]
    try:
        return await look(db, settings, where, processes)
    except (OSError, TimeoutError, asyncpg.PostgresError) as problem:
        return [unreachable(AREA, "queries", where, said(problem), "look into the server's log")]
    finally:
        db.terminate()


def place(url: str) -> str:
    """Where a database is, without who logs in and how."""
    return url.split("://", 1)[-1].rpartition("@")[2].partition("?")[0]


def said(problem: BaseException) -> str:
    """A problem's own words, or its kind where it has none."""
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__


async def look(
    db: asyncpg.Connection[Any], settings: Settings, where: str, processes: int
) -> list[Finding]:
    """All findings of an open connection."""
    rows = await db.fetch("select name, setting from pg_settings where name = any($1)", list(NAMES))
    values = {row["name"]: row["setting"] for row in rows}
    found = [release(values, where), *durability(values, where), isolation(values, where)]
    found += [*timeouts(values, where), locks(values, where, processes), encoding(values, where)]
    found += await asked(db, values, settings, where, processes)
    if any(one.check == "writable" and one.fix for one in found):
        return found
    return [*found, await commit_time(db, where)]


def release(values: Values, where: str) -> Finding:
    """The server's release."""
    what = f"PostgreSQL {values['server_version']}"
    if int(values["server_version_num"]) < VERSION_LEAST * 10_000:
        return error(
            AREA, "release", where, what, f"upgrade to PostgreSQL {VERSION_LEAST} or newer"
        )
    return fine(AREA, "release", where, what)


def durability(values: Values, where: str) -> list[Finding]:
    """What has been committed must survive a power cut."""
    found = []
    for name in ("fsync", "full_page_writes"):
        if values[name] == "off":
            what = f"{name} is off: what was accepted could be lost in a crash"
            found.append(
                error(AREA, "durable", name, what, f"set {name} = on and restart the server")
            )
    what = f"fsync is on, synchronous_commit is {values['synchronous_commit']} in our sessions"
    return found or [fine(AREA, "durable", where, what)]


def isolation(values: Values, where: str) -> Finding:
    """
    Batches lock first and read after that, which needs each statement to see what was committed
    before it.
    """
    level = values["default_transaction_isolation"]
    if level == "read committed":
        return fine(AREA, "isolation", where, level)
    fix = "set default_transaction_isolation = 'read committed' for this role"
    return error(
        AREA,
        "isolation",
        where,
        f"the default is {level}: batches would fail or read what is outdated",
        fix,
    )


def timeouts(values: Values, where: str) -> list[Finding]:
    """Limits that our sessions do not set for themselves, and that would cut them short."""
    found = []
    limit_ms = int(values.get("transaction_timeout", "0"))
    if 0 < limit_ms < BATCH_TIMEOUT_MS:
        what = (
            f"transaction_timeout is {limit_ms} ms: a batch may take up to {BATCH_TIMEOUT_MS} ms on"
            " a busy day"
        )
        found.append(
            warning(
                AREA,
                "timeouts",
                "transaction_timeout",
                what,
                "alter role … set transaction_timeout = 0",
            )
        )
    if int(values.get("idle_session_timeout", "0")):
        what = "idle_session_timeout is set: idle connections of the pool are cut"
        found.append(
            warning(
                AREA,
                "timeouts",
                "idle_session_timeout",
                what,
                "alter role … set idle_session_timeout = 0",
            )
        )
    return found or [fine(AREA, "timeouts", where, "none that would cut a batch short")]


def locks(values: Values, where: str, processes: int) -> Finding:
    """Room in the shared lock table for one batch of every process."""
    per_transaction = int(values["max_locks_per_transaction"])
    sessions = int(values["max_connections"]) + int(values["max_prepared_transactions"])
    room, wanted = per_transaction * sessions, int(processes * LOCKS_PER_BATCH * LOCKS_SPARE)
    what = f"room for {room} locks; {processes} process(es) need up to {wanted}"
    if room >= wanted:
        return fine(AREA, "locks", where, what)
    least = -(-wanted // sessions)
    fix = (
        f"set max_locks_per_transaction = {max(128, least)} and restart (now {per_transaction} ×"
        f" {sessions} sessions)"
    )
    return error(AREA, "locks", where, what, fix)


def encoding(values: Values, where: str) -> Finding:
    """Texts are Unicode."""
    found = values["server_encoding"]
    if found == "UTF8":
        return fine(AREA, "encoding", where, found)
    return error(
        AREA,
        "encoding",
        where,
        f"the database is in {found}",
        "make a database with encoding 'UTF8'",
    )


async def asked(
    db: asyncpg.Connection[Any], values: Values, settings: Settings, where: str, processes: int
) -> list[Finding]:
    """
    What must be asked for: recovery, rights, free connections, transaction ids, encryption, the
    clock.
    """
    row = await db.fetchrow("""
        select pg_is_in_recovery() as standby,
               current_schema() as schema,
               coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
               current_user as role,
               (select count(*) from pg_stat_activity where application_name not like 'kaskad%'
                 and pid <> pg_backend_pid() and coalesce(backend_type, '') in ('client backend', '')) as others,
               (select max(age(datfrozenxid)) from pg_database) as xids,
               (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as encrypted
        """)
    assert row is not None
    found = [
        writable(values, where, standby=row["standby"]),
        rights(row, where),
        await schema(db, settings.migrate, where),
    ]
    found += [
        connections(values, where, row["others"], processes),
        transaction_ids(row["xids"], where),
    ]
    found += [encryption(where, bool(row["encrypted"])), await clock(db, where)]
    if any(one.check == "schema" and "up to date" in one.what for one in found):
        found.append(await partitions(db, int(time.time() * 1000), where))
    if values["autovacuum"] != "on":
        what = "autovacuum is off: dead rows are never cleaned away, and everything slows down"
        found.append(error(AREA, "autovacuum", where, what, "set autovacuum = on"))
    return found


def writable(values: Values, where: str, *, standby: bool) -> Finding:
    """The primary, and not read-only."""
    if standby:
        return error(
            AREA,
            "writable",
            where,
            "this is a standby, which takes no writes",
            "name the primary in `store`",
        )
    if values["default_transaction_read_only"] == "on":
        what = "transactions are read-only by default"
        return error(
            AREA, "writable", where, what, "alter role … set default_transaction_read_only = off"
        )
    return fine(AREA, "writable", where, "this is the primary")


def rights(row: Mapping[str, Any], where: str) -> Finding:
    """
    Migrations make tables, and so does the running service: a partition for each week to come.
    """
    if row["schema"] is None:
        fix = "create schema kaskad authorization …, and alter role … set search_path = kaskad"
        return error(AREA, "rights", where, "no schema of the search_path exists", fix)
    if row["may_create"]:
        return fine(
            AREA, "rights", where, f"role {row['role']} may create tables in schema {row['schema']}"
        )
    what = f"role {row['role']} may not create tables in schema {row['schema']}"
    return error(
        AREA, "rights", where, what, f'grant create on schema "{row["schema"]}" to "{row["role"]}"'
    )


async def schema(db: asyncpg.Connection[Any], migrate: str, where: str) -> Finding:
    """Whether the schema is as this release needs it, and how many processes work on it now."""
    steps = await migration_status(db)
    waiting = [name for name, done in steps.items() if not done]
    if waiting:
        what = f"to come: {', '.join(waiting)}"
        if migrate == "manual":
            return error(
                AREA, "schema", where, what, "run `kaskad migrate up`, or set migrate: auto"
            )
        return fine(AREA, "schema", where, f"{what}; run at the next start")
    query = (
        "select count(*) from members where seen_at > clock_timestamp() - make_interval(secs => $1)"
    )
    members = await db.fetchval(query, DEAD_AFTER_SECONDS)
    return fine(
        AREA, "schema", where, f"the schema is up to date; {members} process(es) at work on it"
    )


async def partitions(db: asyncpg.Connection[Any], now_ms: int, where: str) -> Finding:
    """
    Whether the weeks to come have their partitions; without one, rows pile up where they cannot be
    dropped.
    """
    table = BY_MESSAGE[0]
    query = (
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where"
        " i.inhparent = $1::regclass"
    )
    starts = [start_of(row[0]) for row in await db.fetch(query, table)]
    ends = [start + WEEK_MS for start in starts if start is not None]
    if not ends:
        return fine(AREA, "partitions", where, "none yet: the first process makes them")
    weeks = (max(ends) - now_ms) / WEEK_MS
    what = f"partitions reach {weeks:.1f} weeks ahead"
    if weeks < 1:
        fix = "let a process run, and look for maintenance.failed in its log: its role must own the tables"
        return error(AREA, "partitions", where, what, fix)
    return fine(AREA, "partitions", where, what)


def connections(values: Values, where: str, others: int, processes: int) -> Finding:
    """Connections that are left for us."""
    left = int(values["max_connections"]) - int(values["superuser_reserved_connections"]) - others
    wanted = processes * CONNECTIONS_PER_PROCESS
    what = f"{left} connections are left, {processes} process(es) use up to {wanted}"
    if left >= wanted:
        return fine(AREA, "connections", where, what)
    fix = "raise max_connections, or find out who holds so many: select * from pg_stat_activity"
    return error(AREA, "connections", where, what, fix)


def transaction_ids(age: int, where: str) -> Finding:
    """
    How far the oldest row is from the point where PostgreSQL stops taking writes (about 2.1 × 10⁹).
    """
    what = f"the oldest transaction id is {age / 1e6:.0f} million old"
    fix = (
        "let autovacuum freeze: end long transactions, drop unused replication slots, vacuum"
        " (freeze)"
    )
    return by_limits(
        AREA,
        "transaction_ids",
        where,
        what,
        fix,
        value=age,
        warn_over=XIDS_WARNING,
        refuse_over=XIDS_ERROR,
    )


def encryption(where: str, encrypted: bool) -> Finding:
    """People's addresses go over this connection."""
    host = where.partition("/")[0].rpartition(":")[0] or where.partition("/")[0]
    if encrypted:
        return fine(AREA, "encryption", where, "the connection is encrypted")
    if not host or is_loopback(host.strip("[]")):
        return fine(AREA, "encryption", where, "not encrypted, and does not leave this machine")
    fix = "add ?sslmode=verify-full&sslrootcert=… to `store`"
    return warning(AREA, "encryption", where, "profiles and keys go over the network in clear", fix)


async def clock(db: asyncpg.Connection[Any], where: str) -> Finding:
    """How far our clock is from the server's: decisions use ours, leases the server's."""
    before = time.time()
    server = (await db.fetchval("select extract(epoch from clock_timestamp())::float8")) or 0.0
    after = time.time()
    skew = server - (before + after) / 2
    what = (
        f"the server's clock is {abs(skew) * 1000:.0f} ms {'ahead of' if skew > 0 else 'behind'}"
        " ours"
    )
    fix = "run chrony or systemd-timesyncd on both"
    return by_limits(
        AREA,
        "clock",
        where,
        what,
        fix,
        value=abs(skew) - (after - before) / 2,
        warn_over=SKEW_WARNING_SECONDS,
        refuse_over=SKEW_ERROR_SECONDS,
    )


async def commit_time(db: asyncpg.Connection[Any], where: str) -> Finding:
    """
    How long a durable commit takes, tried with an empty record in the write-ahead log that touches
    no table.
    """
    times = []
    for _ in range(COMMITS):
        begun = time.perf_counter()
        try:
            await db.execute("select pg_logical_emit_message(true, 'kaskad.doctor', '')")
        except asyncpg.InsufficientPrivilegeError:
            return fine(
                AREA, "commit", where, "not tried: this role may not write a record without a table"
            )
        times.append(time.perf_counter() - begun)
    median = statistics.median(times)
    what = f"a commit takes {median * 1000:.2f} ms (median of {COMMITS})"
    fix = (
        "bring the database nearer, or give it a faster disk for its log: every batch waits for it"
    )
    return by_limits(
        AREA,
        "commit",
        where,
        what,
        fix,
        value=median,
        warn_over=COMMIT_WARNING_SECONDS,
        refuse_over=COMMIT_ERROR_SECONDS,
    )
