"""
PostgreSQL: can it be reached and written, and do its settings keep our promises.

Everything is seen through a session as the service opens it, so what a session sets for itself
(timeouts, ``synchronous_commit``) is not held against the server.

Reference: PostgreSQL documentation, chapters 20.12 (lock management), 20.5 (write-ahead log),
13.2.1 (read committed).
"""

from __future__ import annotations

import statistics
import time
from typing import Any, TypeAlias

import asyncpg

from orchestrator.configuration.settings import Settings
from orchestrator.doctor import server
from orchestrator.doctor.findings import Finding, Subject, schema_state, words_of
from orchestrator.doctor.keys import STORED_KEYS, stored_signing_key
from orchestrator.stores.postgres.members import DEAD_AFTER_SECONDS
from orchestrator.stores.postgres.schema import (
    BY_MESSAGE,
    WEEK_MS,
    migration_status,
    partition_starts,
)
from orchestrator.stores.postgres.session import SESSION, place

CONNECT_SECONDS = 5.0
QUERY_SECONDS = 10.0
COMMITS = 7
COMMIT_SECONDS = (0.02, 0.5)
SKEW_SECONDS = (0.5, 10.0)
MEMBERS = (
    "select count(*) from members where seen_at > clock_timestamp() - make_interval(secs => $1)"
)
STATE = """
select pg_is_in_recovery() as standby,
       current_schema() as schema,
       coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
       current_user as role,
       (select count(*) from pg_stat_activity
         where application_name not like 'kaskad%' and pid <> pg_backend_pid()
           and coalesce(backend_type, '') in ('client backend', '')) as others,
       (select max(age(datfrozenxid)) from pg_database) as xids,
       (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as encrypted
"""
REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    ValueError,
)
Connection: TypeAlias = "asyncpg.Connection[Any]"


async def look_at_postgres(settings: Settings, processes: int) -> list[Finding]:
    """Everything about a served store, as the role that the configuration names sees it."""
    url = settings.store.url.get_secret_value()
    at = Subject("store", place(url))
    try:
        db = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=QUERY_SECONDS, server_settings=SESSION
        )
    except REFUSED as problem:
        fix = "check the role, its password and the database's name in `store`"
        return [at.error("connect", words_of(problem), fix)]
    except (OSError, TimeoutError, asyncpg.PostgresError) as problem:
        fix = "check that it runs, its address, pg_hba.conf and the firewall"
        return [at.unreachable("connect", words_of(problem), fix)]
    try:
        return await look(at, db, settings, processes)
    except (OSError, TimeoutError, asyncpg.PostgresError) as problem:
        return [at.unreachable("queries", words_of(problem), "look into the server's log")]
    finally:
        db.terminate()


async def look(at: Subject, db: Connection, settings: Settings, processes: int) -> list[Finding]:
    """All findings of an open connection."""
    rows = await db.fetch("select name, setting from pg_settings")
    values = {row["name"]: row["setting"] for row in rows}
    state = await db.fetchrow(STATE)
    assert state is not None
    writable = server.writable(at, values, standby=state["standby"])
    schema = await look_at_schema(at, db, settings.migrate)
    found = [
        *server.look_at_settings(at, values, processes),
        writable,
        server.rights(at, state),
        schema,
        server.connections(at, values, state["others"], processes),
        server.transaction_ids(at, state["xids"]),
        server.encryption(at, encrypted=bool(state["encrypted"])),
        await clock(at, db),
    ]
    if "up to date" in schema.what:
        found.append(await partitions(at, db, int(time.time() * 1000)))
        rows = await db.fetch(STORED_KEYS)
        found.append(stored_signing_key(at, rows, own=settings.signing_key is not None))
    return found if writable.fix else [*found, await commit_time(at, db)]


async def look_at_schema(at: Subject, db: Connection, migrate: str) -> Finding:
    """Whether the schema is as this release needs it, and how many processes use it now."""
    steps = await migration_status(db)
    members = await db.fetchval(MEMBERS, DEAD_AFTER_SECONDS) if all(steps.values()) else 0
    current = f"the schema is up to date; {members} process(es) at work on it"
    return schema_state(at, steps, migrate, current)


async def partitions(at: Subject, db: Connection, now_ms: int) -> Finding:
    """
    Whether the weeks to come have their partitions; without one, rows pile up where they cannot be
    dropped.
    """
    starts = await partition_starts(db, BY_MESSAGE[0])
    if not starts:
        return at.fine("partitions", "none yet: the first process makes them")
    weeks = (max(starts.values()) + WEEK_MS - now_ms) / WEEK_MS
    what = f"partitions reach {weeks:.1f} weeks ahead"
    fix = "let a process run; if its log has maintenance.failed, its role must own the tables"
    return at.expect("partitions", weeks >= 1, what, fix)


async def clock(at: Subject, db: Connection) -> Finding:
    """
    The difference between our clock and the server's: decisions use ours, leases the server's.
    """
    before = time.time()
    remote = (await db.fetchval("select extract(epoch from clock_timestamp())::float8")) or 0.0
    after = time.time()
    skew = remote - (before + after) / 2
    side = "ahead of" if skew > 0 else "behind"
    what = f"the server's clock is {abs(skew) * 1000:.0f} ms {side} ours"
    certain = abs(skew) - (after - before) / 2
    fix = "run chrony or systemd-timesyncd on both"
    return at.graded("clock", certain, what, fix, limits=SKEW_SECONDS)


async def commit_time(at: Subject, db: Connection) -> Finding:
    """
    The time of a durable commit, measured with an empty record in the write-ahead log that touches
    no table.
    """
    times = []
    for _ in range(COMMITS):
        begun = time.perf_counter()
        try:
            await db.execute("select pg_logical_emit_message(true, 'kaskad.doctor', '')")
        except asyncpg.InsufficientPrivilegeError:
            what = "not tried: this role may not write a record without a table"
            return at.fine("commit", what)
        times.append(time.perf_counter() - begun)
    median = statistics.median(times)
    what = f"a commit takes {median * 1000:.2f} ms (median of {COMMITS})"
    fix = "move the database nearer, or its log to a faster disk: every batch waits for it"
    return at.graded("commit", median, what, fix, limits=COMMIT_SECONDS)
