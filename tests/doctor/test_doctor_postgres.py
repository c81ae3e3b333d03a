"""The doctor at a real PostgreSQL."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import asyncpg
import pytest

from orchestrator.doctor import Finding, Result
from orchestrator.doctor.findings import Subject
from orchestrator.doctor.server import encryption, release, transaction_ids, writable
from orchestrator.stores.postgres.schema import WEEK_MS, make_partitions, migrate
from orchestrator.stores.postgres.session import place
from tests.doctor.setup import Setup, wrong
from tests.support.postgres import Server

FROM_THE_FIXTURE = {"store durable error"}
"""The tests' server runs without fsync, which the doctor must find."""


async def examine_store(
    setup: Setup, url: str, processes: int = 1, more: str = ""
) -> dict[str, Finding]:
    """The findings about the store, by check."""
    setup.env["STORE"] = url
    setup.configure("store: '${env:STORE}'\n" + more)
    findings = [one for one in await setup.findings(processes) if one.area == "store"]
    password = urlsplit(url).password
    assert password is None or password not in str(findings)
    return {one.check: one for one in findings}


def limited(server: Server, url: str, name: str, settings: str = "") -> str:
    """The URL of a role that owns nothing, with settings of its own."""
    server.sql(f"drop role if exists {name}")
    server.sql(f"create role {name} login password 'a-password'")
    if settings:
        server.sql(f"alter role {name} set {settings}")
    parts = urlsplit(url)
    return f"postgresql://{name}:a-password@{parts.hostname}:{parts.port}{parts.path}"


async def test_everything_but_the_missing_fsync_of_the_test_server_is_fine(
    setup: Setup, empty_postgres_url: str
) -> None:
    findings = await examine_store(setup, empty_postgres_url)
    assert set(wrong(list(findings.values()))) == FROM_THE_FIXTURE
    looked_at = {
        "release",
        "isolation",
        "timeouts",
        "locks",
        "encoding",
        "writable",
        "rights",
        "schema",
        "commit",
    }
    assert looked_at | {"connections", "transaction_ids", "encryption", "clock"} <= set(findings)


async def test_settings_that_give_up_durability_are_errors(
    setup: Setup, empty_postgres_url: str
) -> None:
    assert (await examine_store(setup, empty_postgres_url))["durable"].result is Result.ERROR


async def test_more_processes_than_the_lock_table_has_room_for_are_refused_with_the_setting_to_use(
    setup: Setup, empty_postgres_url: str
) -> None:
    found = (await examine_store(setup, empty_postgres_url, processes=12))["locks"]
    assert found.result is Result.ERROR
    assert found.fix.startswith("set max_locks_per_transaction = ")


async def test_more_processes_than_connections_are_refused(
    setup: Setup, empty_postgres_url: str
) -> None:
    assert (await examine_store(setup, empty_postgres_url, processes=40))[
        "connections"
    ].result is Result.ERROR


async def test_a_role_that_may_not_make_tables_is_reported(
    setup: Setup, postgres_server: Server, empty_postgres_url: str
) -> None:
    found = (await examine_store(setup, limited(postgres_server, empty_postgres_url, "guest")))[
        "rights"
    ]
    assert (found.result, found.fix) == (
        Result.ERROR,
        'grant create on schema "public" to "guest"',
    )


@pytest.mark.parametrize(
    ("setting", "check", "result"),
    [
        ("default_transaction_isolation = 'serializable'", "isolation", Result.ERROR),
        ("default_transaction_read_only = on", "writable", Result.ERROR),
        ("idle_session_timeout = '1min'", "timeouts", Result.WARNING),
    ],
)
async def test_settings_of_the_role_that_would_stop_us_are_found(
    setup: Setup,
    postgres_server: Server,
    empty_postgres_url: str,
    setting: str,
    check: str,
    result: Result,
) -> None:
    url = limited(postgres_server, empty_postgres_url, "stubborn", setting)
    assert (await examine_store(setup, url))[check].result is result


async def test_a_setting_that_our_sessions_make_for_themselves_is_not_held_against_the_server(
    setup: Setup, postgres_server: Server, empty_postgres_url: str
) -> None:
    url = limited(postgres_server, empty_postgres_url, "hasty", "statement_timeout = '100ms'")
    assert (await examine_store(setup, url))["timeouts"].result is Result.FINE


async def test_a_schema_that_is_up_to_date_differs_from_one_that_is_not(
    setup: Setup, empty_postgres_url: str
) -> None:
    assert (await examine_store(setup, empty_postgres_url, more="migrate: manual\n"))[
        "schema"
    ].result is Result.ERROR
    connection = await asyncpg.connect(empty_postgres_url)
    await migrate(connection)
    await connection.close()
    found = (await examine_store(setup, empty_postgres_url, more="migrate: manual\n"))["schema"]
    assert (found.result, found.what) == (
        Result.FINE,
        "the schema is up to date; 0 process(es) at work on it",
    )


@pytest.mark.parametrize(("weeks_ago", "result"), [(0, Result.FINE), (4, Result.ERROR)])
async def test_partitions_that_nobody_makes_any_more_are_an_error(
    setup: Setup, empty_postgres_url: str, weeks_ago: int, result: Result
) -> None:
    connection = await asyncpg.connect(empty_postgres_url)
    await migrate(connection)
    assert (await examine_store(setup, empty_postgres_url))[
        "partitions"
    ].what == "none yet: the first process makes them"
    await make_partitions(connection, int(time.time() * 1000) - weeks_ago * WEEK_MS)
    await connection.close()
    assert (await examine_store(setup, empty_postgres_url))["partitions"].result is result


async def test_nothing_is_written_that_a_query_could_see(
    setup: Setup, empty_postgres_url: str
) -> None:
    await examine_store(setup, empty_postgres_url)
    connection = await asyncpg.connect(empty_postgres_url)
    tables = await connection.fetchval(
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    assert tables == 0


async def test_a_wrong_password_and_a_missing_database_are_errors_a_closed_port_is_not(
    setup: Setup, postgres_server: Server, empty_postgres_url: str
) -> None:
    url = limited(postgres_server, empty_postgres_url, "visitor")
    refused = (await examine_store(setup, url.replace("a-password", "another-password")))["connect"]
    missing = (await examine_store(setup, url.rpartition("/")[0] + "/nowhere"))["connect"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = (
            await examine_store(
                setup, f"postgresql://u:pass-word@127.0.0.1:{probe.getsockname()[1]}/x"
            )
        )["connect"]
    assert [one.result for one in (refused, missing, away)] == [
        Result.ERROR,
        Result.ERROR,
        Result.UNREACHABLE,
    ]


def test_where_a_database_is_never_says_who_logs_in() -> None:
    assert (
        place("postgresql://me:p@ss@db.example.com:5432/kaskad?sslmode=require")
        == "db.example.com:5432/kaskad"
    )


def test_old_releases_standbys_and_old_transaction_ids_are_reported() -> None:
    at = Subject("store", "db")
    old = {"server_version": "12.9", "server_version_num": "120009"}
    assert release(at, old).result is Result.ERROR
    values = {"default_transaction_read_only": "off"}
    assert writable(at, values, standby=True).result is Result.ERROR
    ages = [transaction_ids(at, age).result for age in (10**6, 10**9, 2 * 10**9)]
    assert ages == [Result.FINE, Result.WARNING, Result.ERROR]


def test_only_a_connection_that_leaves_the_machine_must_be_encrypted() -> None:
    where = {
        "127.0.0.1:5432/k": Result.FINE,
        "[::1]:5432/k": Result.FINE,
        "/k": Result.FINE,
        "db:5432/k": Result.WARNING,
    }
    subjects = [Subject("store", one) for one in where]
    assert {at.where: encryption(at, encrypted=False).result for at in subjects} == where
    assert encryption(subjects[-1], encrypted=True).result is Result.FINE
