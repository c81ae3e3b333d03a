"""
A database that fails is the store being away, or a clear refusal to start: never a traceback.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from asyncpg.exceptions import PostgresError
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.configuration.settings_file import load_settings
from orchestrator.engine.commands import Publish
from orchestrator.events.cloudevents import parse_structured
from orchestrator.stores.port import StoreAway, StoreBusy
from orchestrator.stores.postgres.session import translated as postgres_errors
from orchestrator.stores.sqlite.errors import AWAY, translated
from tests.app.site import lay_out, running, until

FAULTS = {
    "full": ("pragma max_page_count = 1", "pragma max_page_count = 1073741823"),
    "read-only": ("pragma query_only = 1", "pragma query_only = 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_the_disk_fails_the_service_is_not_ready_and_answers_503_and_recovers(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin, end = FAULTS[fault]
    async with running(lay_out(tmp_path)) as site:
        writer: sqlite3.Connection = site.app.store._writer  # type: ignore[attr-defined]
        await site.ended(await site.publish())
        writer.execute(begin)
        capsys.readouterr()
        filling = [site.event(text="x" * 100_000) for _ in range(2)]
        for event in filling:  # the engine keeps the first batch, and decides it in the end
            site.app.runtime.engine.enqueue(publish_of(event), lambda result: None)

        async def away() -> bool:
            return site.app.runtime.engine.store_away

        await until(away)
        assert await site.status("/livez") == 200
        assert await site.status("/readyz") == 503
        status, answer = await site.post(site.event())
        assert (status, answer["code"]) == (503, "unavailable")
        writer.execute(end)

        async def ready() -> bool:
            return await site.status("/readyz") == 200

        await until(ready)
        assert (await site.ended(await site.publish()))["status"] == "succeeded"
        written = capsys.readouterr().err.splitlines()
        assert "Traceback" not in "\n".join(written)
        assert len(written) < 20


async def test_a_caller_whose_event_waits_for_the_disk_gets_a_503_and_its_event_is_kept(
    tmp_path: Path,
) -> None:
    async with running(lay_out(tmp_path)) as site:
        writer: sqlite3.Connection = site.app.store._writer  # type: ignore[attr-defined]
        await site.ended(await site.publish())
        writer.execute("pragma query_only = 1")
        event = site.event()
        status, answer = await site.post(event)  # the first one, which finds it out
        assert (status, answer["code"]) == (503, "unavailable")
        writer.execute("pragma query_only = 0")

        async def taken() -> bool:
            return (await site.post(event))[0] == 202

        await until(taken)
        status, answer = await site.post(event)
        assert answer["results"][0]["status"] == "duplicate"
        await site.ended(str(answer["results"][0]["messages"][0]))


def publish_of(event: dict[str, Any]) -> Publish:
    """The command of an event."""
    return Publish(parse_structured(json.dumps(event).encode()))


def test_every_error_of_the_disk_or_the_file_means_that_the_store_is_away() -> None:
    for code in AWAY:
        for extended in (code, code | 0x300):
            with pytest.raises(StoreAway), translated():
                raise failure(extended)
    for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        with pytest.raises(StoreBusy) as busy, translated():
            raise failure(code)
        assert not isinstance(busy.value, StoreAway)
    with pytest.raises(sqlite3.Error), translated():  # a bug of ours is none of the disk's
        sqlite3.connect(":memory:").execute("select * from nothing")


@pytest.mark.parametrize(
    ("sqlstate", "away"),
    [
        ("53100", True),  # the disk is full
        ("53300", True),  # too many connections
        ("25006", True),  # a read-only transaction: a standby
        ("57P01", True),  # the server is being shut down
        ("57P03", True),  # it is starting
        ("58030", True),  # it cannot read its files
        ("XX001", True),  # a page is damaged
        ("28P01", True),  # the password was changed
        ("3D000", True),  # the database is gone
        ("53200", False),  # no memory for this statement
        ("40001", False),  # a transaction conflicted
        ("57014", False),  # the statement took too long
    ],
)
async def test_what_postgresql_says_of_itself_is_the_store_being_away_or_busy(
    sqlstate: str, away: bool
) -> None:
    with pytest.raises(StoreBusy) as raised:
        async with postgres_errors():
            raise PostgresError.new({"C": sqlstate, "M": "it failed"})
    assert isinstance(raised.value, StoreAway) is away


def failure(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "name",
    ["k ?mode=memory.db", "k%3F.db", "k#1.db", "дані 1.db", "file:k.db", "a&b=c;d.db"],
)
async def test_a_path_is_a_path_whatever_it_is_made_of(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "т ?%41"
    async with running(lay_out(folder, f"sqlite:///./{name}")) as site:
        await site.ended(await site.publish())
    assert {file.name for file in folder.iterdir() if file.name.startswith(name)} >= {name}
    assert sqlite3.connect(folder / name).execute("select count(*) from messages").fetchone() == (
        1,
    )


def test_a_store_whose_socket_would_have_too_long_a_path_is_refused(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("long" * 30)
    code, words = kaskad("run", "--config", str(lay_out(folder)))
    assert code == 3
    assert "give `store` a shorter path" in words[-1]


def garbage(folder: Path) -> None:
    (folder / "k.db").write_bytes(os.urandom(20_000))


def damaged(folder: Path) -> None:
    with sqlite3.connect(folder / "k.db") as db:
        db.execute("create table t (x)")
    body = bytearray((folder / "k.db").read_bytes())
    body[100:200] = b"\xff" * 100
    (folder / "k.db").write_bytes(body)


def directory(folder: Path) -> None:
    (folder / "k.db").mkdir()


def foreign_schema(folder: Path) -> None:
    with sqlite3.connect(folder / "k.db") as db:
        db.execute("create table messages (x)")


@pytest.mark.parametrize("spoil", [garbage, damaged, directory, foreign_schema])
@pytest.mark.parametrize("verb", ["run", "keys list", "keys revoke ../x", "migrate up"])
def test_a_file_that_is_no_database_ends_a_verb_with_3_and_one_line(
    spoil: object, verb: str, tmp_path: Path
) -> None:
    config = lay_out(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    code, words = kaskad(*verb.split(), "--config", str(config))
    assert code == 3
    assert len(words) == 1
    assert f"{tmp_path}/k.db cannot be used" in words[0]


def test_a_port_that_is_in_use_ends_the_start_with_3_and_says_which(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    place = load_settings(config, {}).http.listen
    with socket.create_server((place.host, place.port)):
        code, words = kaskad("run", "--config", str(config))
    assert (code, len(words)) == (3, 1)
    assert f"cannot listen on {place}: another program listens there" in words[0]


@pytest.mark.parametrize("id", ["../x", "..", "a/b", "%2e%2e", "a?b", "#", "ключ"])
def test_an_id_is_an_id_whatever_it_is_made_of(id: str, tmp_path: Path) -> None:
    code, words = kaskad("keys", "revoke", id, "--config", str(lay_out(tmp_path)))
    assert (code, words) == (1, ["there is no such key, or it was revoked before"])


def kaskad(*arguments: str) -> tuple[int, list[str]]:
    """The exit code of a verb, and what it wrote on standard error beside its log."""
    done = CliRunner().invoke(app, list(arguments))
    assert isinstance(done.exception, SystemExit | None), done.exception
    lines = done.stderr.splitlines()
    return done.exit_code, [line for line in lines if not line.startswith("{")]
