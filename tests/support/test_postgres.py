"""The PostgreSQL of the tests: fresh databases, and everything that a fault may ask of it."""

from __future__ import annotations

import asyncpg
import pytest

from tests.support.postgres import PostgresFailedError, Server, binaries, missing

needed = pytest.mark.skipif(missing() is not None, reason=f"NO POSTGRESQL IN THIS RUN: {missing()}")


async def test_each_test_gets_an_empty_database_of_its_own(
    postgres_server: Server, empty_postgres_url: str
) -> None:
    other = postgres_server.create_database()
    connection = await asyncpg.connect(empty_postgres_url)
    await connection.execute("CREATE TABLE t (n int)")
    await connection.close()
    connection = await asyncpg.connect(other)
    assert await connection.fetchval("SELECT to_regclass('t')") is None
    await connection.close()
    postgres_server.drop_database(other)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(other)


async def test_a_database_can_be_a_copy_of_a_prepared_one(postgres_server: Server) -> None:
    first = postgres_server.create_database()
    name = first.rpartition("/")[2]
    postgres_server.sql("CREATE TABLE t AS SELECT 42 AS n", name)
    second = postgres_server.create_database(template=name)
    assert postgres_server.sql("SELECT n FROM t", second.rpartition("/")[2]) == [["42"]]
    postgres_server.drop_database(first)
    postgres_server.drop_database(second)


async def test_a_password_is_asked_for(postgres_url: str) -> None:
    before, _, address = postgres_url.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"{before}0@{address}")


@needed
@pytest.mark.parametrize("end", ["fast", "immediate", "kill"])
def test_what_was_committed_is_there_after_a_restart(end: str) -> None:
    with Server(durable=True) as server:
        assert server.sql("SHOW fsync") == [["on"]]
        name = server.create_database().rpartition("/")[2]
        server.sql("CREATE TABLE t AS SELECT 42 AS n", name)
        if end == "kill":
            server.kill()
        else:
            server.stop("fast" if end == "fast" else "immediate")
        with pytest.raises(PostgresFailedError, match="not running"):
            server.stop()
        server.start()
        assert server.sql("SELECT n FROM t", name) == [["42"]]


async def test_sessions_can_be_ended(postgres_server: Server, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    assert postgres_server.terminate_backends(postgres_url.rpartition("/")[2]) == 1
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await connection.execute("SELECT 1")


def test_a_wrong_statement_is_refused_in_the_servers_own_words(postgres_server: Server) -> None:
    with pytest.raises(PostgresFailedError, match="syntax error"):
        postgres_server.sql("SELEC 1")


@needed
def test_the_programs_stand_together() -> None:
    assert {"initdb", "postgres", "psql"} <= {one.name for one in binaries().iterdir()}
