"""PostgreSQL's schema: migrations under a lock, and the partitions of what only grows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from orchestrator.primitives.ids import encode

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6B61736B6164  # "kaskad"
PARTITION_LOCK = MIGRATION_LOCK + 1
SECRETS_LOCK = MIGRATION_LOCK + 2
AUDIT_LOCK = MIGRATION_LOCK + 3
WEEK_MS = 7 * 86_400_000
WEEKS_AHEAD = 4
BY_MESSAGE = ("finished", "message_events", "history", "joined_events", "provider_references")
BY_TIME = ("raw_receipts",)
PARTITIONS = """
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
 where i.inhparent = $1::regclass
"""
TIME_LETTERS = 10
"""How many of a ULID's letters are its time."""


async def migrate(connection: Any) -> list[str]:
    """
    Bring the schema up to date; returns the names of the migrations that were run, each whole or
    not at all.

    Any number of processes may do this at once. Migrations of a newer release are left alone: a
    release only adds to the schema what the one before it can live with.
    """
    await connection.execute("select pg_advisory_lock($1)", MIGRATION_LOCK)
    try:
        await connection.execute(
            "create table if not exists migrations (name text primary key, run_at timestamptz not"
            " null default now())"
        )
        done = []
        for name, ran in (await migration_status(connection)).items():
            if not ran:
                async with connection.transaction():
                    await connection.execute((MIGRATIONS / f"{name}.sql").read_text())
                    await connection.execute("insert into migrations (name) values ($1)", name)
                done.append(name)
        return done
    finally:
        await connection.execute("select pg_advisory_unlock($1)", MIGRATION_LOCK)


async def migration_status(connection: Any) -> Mapping[str, bool]:
    """Each migration of this release by name, and whether it has been run."""
    try:
        ran = {row[0] for row in await connection.fetch("select name from migrations")}
    except asyncpg.UndefinedTableError:
        ran = set()
    return {file.stem: file.stem in ran for file in sorted(MIGRATIONS.glob("*.sql"))}


async def migrate_url(url: str, *, up: bool) -> dict[str, bool]:
    """
    The migrations of a database: with ``up`` run them and return those that were run, else return
    each and whether it has been run. Raises ``OSError`` if the database cannot be reached.
    """
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError) as error:
        raise ConnectionError(str(error)) from error
    try:
        if up:
            done = dict.fromkeys(await migrate(connection), True)
            await prepare_partitions(connection, time.time_ns() // 1_000_000)
            return done
        return dict(await migration_status(connection))
    finally:
        await connection.close()


def first_id(at: int) -> str:
    """The first letters of ids made at ``at`` (milliseconds): not above any id made later."""
    return encode(at << 80)[:TIME_LETTERS]


async def prepare_partitions(connection: Any, now: int) -> None:
    """Make the partitions at a start; waits for a process that is making them already."""
    await connection.execute("select pg_advisory_lock($1)", PARTITION_LOCK)
    try:
        await make_partitions(connection, now)
    finally:
        await connection.execute("select pg_advisory_unlock($1)", PARTITION_LOCK)


async def make_partitions(connection: Any, now: int) -> None:
    """Make the partitions of this week and the next ones, long before rows go there."""
    week = now - now % WEEK_MS
    wanted = [
        (table, week + number * WEEK_MS)
        for table in (*BY_MESSAGE, *BY_TIME)
        for number in range(WEEKS_AHEAD)
    ]
    query = "select relname from pg_class where relname = any ($1::text[])"
    names = [partition_name(table, start) for table, start in wanted]
    known = {row[0] for row in await connection.fetch(query, names)}
    for table in (*BY_MESSAGE, *BY_TIME):
        await connection.execute(
            f"create table if not exists {table}_other partition of {table} default"
        )
    for table, start in wanted:
        name = partition_name(table, start)
        if name not in known:
            low, high = bounds(table, start)
            await connection.execute(
                f"create table if not exists {name} partition of {table} for values from ({low}) to"
                f" ({high})"
            )


async def drop_partitions(connection: Any, table: str, before: int) -> list[str]:
    """Drop the partitions that hold nothing from ``before`` on; returns their names."""
    starts = await partition_starts(connection, table)
    old = [name for name, start in starts.items() if start + WEEK_MS <= before]
    for name in old:
        await connection.execute(f"drop table {name}")
    return old


async def partition_starts(connection: Any, table: str) -> dict[str, int]:
    """The start of each weekly partition of a table, by its name; without the default one."""
    rows = await connection.fetch(PARTITIONS, table)
    starts = {row[0]: start_of(row[0]) for row in rows}
    return {name: start for name, start in starts.items() if start is not None}


def partition_name(table: str, start: int) -> str:
    return f"{table}_{datetime.fromtimestamp(start / 1000, UTC):%Y%m%d}"


def start_of(partition: str) -> int | None:
    """The start of a partition; None for the default one."""
    day = partition.rpartition("_")[2]
    if not day.isdigit():
        return None
    return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)


def bounds(table: str, start: int) -> tuple[str, str]:
    """A partition's limits as SQL literals."""
    if table in BY_TIME:
        return str(start), str(start + WEEK_MS)
    return f"'{first_id(start)}'", f"'{first_id(start + WEEK_MS)}'"
