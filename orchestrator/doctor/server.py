"""
What PostgreSQL's settings mean for our promises: pure judgements, from its names and values.

A batch locks every recipient and address it touches by an advisory lock, and those live in one
table of fixed size that all sessions share; when it is full, a batch fails with "out of shared
memory". Acceptance promises durability, so the settings that give it up are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.configuration.urls import is_loopback
from orchestrator.doctor.findings import Finding, Subject
from orchestrator.stores.postgres.session import CONNECTIONS_MAX

VERSION_LEAST = 13
LOCKS_PER_BATCH = 1_300
LOCKS_SPARE = 1.25
CONNECTIONS_PER_PROCESS = CONNECTIONS_MAX + 2
"""The pool, the one that listens, and one for migrations or a command-line verb."""
BATCH_TIMEOUT_MS = 10_000
XIDS = (500_000_000, 1_500_000_000)
Values = Mapping[str, str]


def look_at_settings(at: Subject, values: Values, processes: int) -> list[Finding]:
    """The findings that need nothing but settings."""
    # batches lock first and read after that: each statement must see what was committed before it
    level = values["default_transaction_isolation"]
    isolation_fix = (
        "set default_transaction_isolation = 'read committed' for this role: at another level"
        " batches fail or read outdated rows"
    )
    coding = f"the database is in {values['server_encoding']}"
    utf8 = values["server_encoding"] == "UTF8"
    found = [
        release(at, values),
        *durability(at, values),
        at.expect(
            "isolation", level == "read committed", f"the default level is {level}", isolation_fix
        ),
        *timeouts(at, values),
        locks(at, values, processes),
        at.expect("encoding", utf8, coding, "make a database with encoding 'UTF8'"),
    ]
    if values["autovacuum"] != "on":
        what = "autovacuum is off: dead rows are never removed, and everything slows down"
        found.append(at.error("autovacuum", what, "set autovacuum = on"))
    return found


def release(at: Subject, values: Values) -> Finding:
    """The server's release."""
    sound = int(values["server_version_num"]) >= VERSION_LEAST * 10_000
    what = f"PostgreSQL {values['server_version']}"
    return at.expect("release", sound, what, f"upgrade to PostgreSQL {VERSION_LEAST} or newer")


def durability(at: Subject, values: Values) -> list[Finding]:
    """A commit must survive a power cut."""
    found = [
        at.at(name).error(
            "durable",
            f"{name} is off: what was accepted could be lost in a crash",
            f"set {name} = on and restart the server",
        )
        for name in ("fsync", "full_page_writes")
        if values[name] == "off"
    ]
    what = f"fsync is on, synchronous_commit is {values['synchronous_commit']} in our sessions"
    return found or [at.fine("durable", what)]


def timeouts(at: Subject, values: Values) -> list[Finding]:
    """Limits that our sessions do not set for themselves, and that would cut them short."""
    limit_ms = int(values.get("transaction_timeout", "0"))
    short = {}
    if 0 < limit_ms < BATCH_TIMEOUT_MS:
        short["transaction_timeout"] = (
            f"transaction_timeout is {limit_ms} ms: a batch may take up to {BATCH_TIMEOUT_MS} ms on"
            " a busy day"
        )
    if int(values.get("idle_session_timeout", "0")):
        what = "idle_session_timeout is set: idle connections of the pool are cut"
        short["idle_session_timeout"] = what
    return [
        at.at(name).warning("timeouts", what, f"alter role … set {name} = 0")
        for name, what in short.items()
    ] or [at.fine("timeouts", "none that would cut a batch short")]


def locks(at: Subject, values: Values, processes: int) -> Finding:
    """Room in the shared lock table for one batch of every process."""
    per_transaction = int(values["max_locks_per_transaction"])
    sessions = int(values["max_connections"]) + int(values["max_prepared_transactions"])
    room, wanted = per_transaction * sessions, int(processes * LOCKS_PER_BATCH * LOCKS_SPARE)
    what = f"room for {room} locks; {processes} process(es) need up to {wanted}"
    least = max(128, -(-wanted // sessions))
    now = f"(now {per_transaction} × {sessions} sessions)"
    fix = f"set max_locks_per_transaction = {least} and restart {now}"
    return at.expect("locks", room >= wanted, what, fix)


def writable(at: Subject, values: Values, *, standby: bool) -> Finding:
    """The primary, and not read-only."""
    if standby:
        what = "this is a standby, which takes no writes"
        return at.error("writable", what, "name the primary in `store`")
    if values["default_transaction_read_only"] == "on":
        fix = "alter role … set default_transaction_read_only = off"
        return at.error("writable", "transactions are read-only by default", fix)
    return at.fine("writable", "this is the primary")


def rights(at: Subject, state: Mapping[str, Any]) -> Finding:
    """
    Migrations make tables, and so does the running service: a partition for each week to come.
    """
    role, schema = state["role"], state["schema"]
    if schema is None:
        fix = "create schema kaskad authorization …, and alter role … set search_path = kaskad"
        return at.error("rights", "no schema of the search_path exists", fix)
    if state["may_create"]:
        return at.fine("rights", f"role {role} may create tables in schema {schema}")
    what = f"role {role} may not create tables in schema {schema}"
    return at.error("rights", what, f'grant create on schema "{schema}" to "{role}"')


def connections(at: Subject, values: Values, others: int, processes: int) -> Finding:
    """Connections that are left for us."""
    left = int(values["max_connections"]) - int(values["superuser_reserved_connections"]) - others
    wanted = processes * CONNECTIONS_PER_PROCESS
    what = f"{left} connections are left, {processes} process(es) use up to {wanted}"
    fix = "raise max_connections, or find out who holds so many: select * from pg_stat_activity"
    return at.expect("connections", left >= wanted, what, fix)


def transaction_ids(at: Subject, age: int) -> Finding:
    """
    The distance of the oldest row from the point where PostgreSQL stops taking writes (about 2.1 ×
    10⁹).
    """
    what = f"the oldest transaction id is {age / 1e6:.0f} million old"
    fix = (
        "let autovacuum freeze: end long transactions, drop unused replication slots, vacuum"
        " (freeze)"
    )
    return at.graded("transaction_ids", age, what, fix, limits=XIDS)


def encryption(at: Subject, *, encrypted: bool) -> Finding:
    """People's addresses go over this connection."""
    host = at.where.partition("/")[0].rpartition(":")[0] or at.where.partition("/")[0]
    if encrypted:
        return at.fine("encryption", "the connection is encrypted")
    if not host or is_loopback(host.strip("[]")):
        return at.fine("encryption", "not encrypted, and does not leave this machine")
    fix = "add ?sslmode=verify-full&sslrootcert=… to `store`"
    return at.warning("encryption", "profiles and keys go over the network in clear", fix)
