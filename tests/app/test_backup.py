"""A backup is made while the service works; after a restore nothing leaves a second time unseen."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from orchestrator.channels import new_webhook_secret
from orchestrator.cli import app
from tests.app.site import Site, lay_out, put_policy, running, until
from tests.support.ports import free_port
from tests.support.postgres import Server, binaries

PARCEL = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
cascade: [{{channel: viber}}]
"""


class Place:
    """An installation with a log for SMS and a Viber provider that may keep its answer back."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.asked = 0
        self.answers = asyncio.Event()
        secret = new_webhook_secret()
        hook = f"adapter: webhook, url: 'http://127.0.0.1:{self.port}/', secret: {secret}"
        viber = f"  viber: [{{provider: hook, timeout: 5s, {hook}}}]"
        self.config = lay_out(folder, store, viber)
        put_policy(folder, "parcel", "Parcel", PARCEL, "viber")

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.wait_for(self.answers.wait(), 20)
        return web.json_response({"id": f"taken-{self.asked}"})

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[None]:
        hook = web.Application()
        hook.router.add_post("/", self.take)
        runner = web.AppRunner(hook, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def backup(self, file: Path, code: int = 0) -> str:
        """What the verb prints, in a process of its own."""
        path = f"{binaries()}{os.pathsep}{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator.cli", "backup", str(file), "-o", "json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "KASKAD_CONFIG": str(self.config), "PATH": path},
        )
        out, _ = await process.communicate()
        assert process.returncode == code, out.decode()
        return out.decode()

    async def kaskad(self, *words: str) -> str:
        """What a verb prints, at once: a process of its own takes seconds to start."""
        path = f"{binaries()}{os.pathsep}{os.environ['PATH']}"
        runner = CliRunner(env={"KASKAD_CONFIG": str(self.config), "PATH": path})
        done = await asyncio.to_thread(runner.invoke, app, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    def sent(self) -> Counter[str]:
        """How often each text has left by SMS."""
        file = self.folder / "sent.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return Counter(json.loads(line)["content"]["text"] for line in lines)


@pytest.fixture(params=["sqlite", "postgres"])
def restorable(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Place, Callable[[dict[str, Any]], None]]:
    """An installation, and what replaces its store by a backup as docs/keeping.md says."""
    if request.param == "sqlite":
        place = Place(tmp_path, "sqlite:///./k.db")

        def put_back(made: dict[str, Any]) -> None:
            subprocess.run(made["restore"], shell=True, check=True)
            assert not (tmp_path / "k.db-wal").exists(), "the copy would read it as its own"

        return place, put_back
    server: Server = request.getfixturevalue("postgres_server")
    if not (binaries() / "pg_dump").exists():
        pytest.skip("this PostgreSQL has no pg_dump")
    url = server.create_database()
    request.addfinalizer(lambda: server.drop_database(url))
    place = Place(tmp_path, url)

    def restore(made: dict[str, Any]) -> None:
        password = url.partition("//kaskad:")[2].partition("@")[0]
        assert password not in made["restore"]
        server.drop_database(url)
        server.sql(f'CREATE DATABASE "{url.rpartition("/")[2]}"')
        env = {"PATH": f"{binaries()}{os.pathsep}{os.environ['PATH']}", "PGPASSWORD": password}
        subprocess.run(made["restore"], shell=True, check=True, env=env)

    return place, restore


async def says(site: Site, id: str, what: str) -> bool:
    return what in json.dumps(await site.message(id))


async def test_after_a_restore_nothing_leaves_again_unless_somebody_lets_it(
    restorable: tuple[Place, Callable[[dict[str, Any]], None]],
) -> None:
    place, put_back = restorable
    backup = place.folder / "backup"
    async with place.provider(), running(place.config) as site:
        before = await site.publish()
        await site.ended(before)
        await place.kaskad("pause", "channel", "sms")
        waiting = await site.publish()
        await until(lambda: says(site, waiting, '"paused"'))
        open_intent = await site.publish("parcel")
        await until(lambda: asyncio.sleep(0, place.asked == 1))
        made = json.loads(await place.kaskad("backup", str(backup), "-o", "json"))
        assert "timed_out" not in json.dumps(await site.message(open_intent))

        place.answers.set()  # everything below is what the backup does not know
        await place.kaskad("resume", "channel", "sms")
        await site.ended(waiting)
        after = await site.publish()
        await site.ended(after)
    left = place.sent()
    assert set(left.values()) == {1}

    put_back(made)
    for channel in ("sms", "viber"):
        await place.kaskad("pause", "channel", channel, "--why", "restored")
    async with place.provider(), running(place.config) as site:
        assert (await site.message(before))["status"] == "succeeded"
        assert "code" in await site.message(after)  # it was lost with the store
        await until(lambda: says(site, open_intent, '"process_died"'))
        assert await says(site, waiting, '"paused"')
        await place.kaskad("messages", "cancel", "--all")
        for channel in ("sms", "viber"):
            await place.kaskad("resume", "channel", channel)
        status, answer = await site.post(site.event() | {"id": "fresh"})
        assert status == 202
        await site.ended(answer["results"][0]["messages"][0])
    assert (place.asked, place.sent().total()) == (1, left.total() + 1)


async def test_a_copy_is_whole_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    place, copy, accepted = Place(tmp_path, "sqlite:///./k.db"), tmp_path / "copy", 0
    async with running(place.config) as site:
        backing_up = asyncio.create_task(place.backup(copy))
        while not backing_up.done():
            status, _ = await site.post(*(site.event() for _ in range(50)))
            assert status == 202
            accepted += 50
            await asyncio.sleep(0.1)
        made = json.loads(await backing_up)
    assert made["bytes"] == copy.stat().st_size
    assert copy.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(copy)) as look:
        [[events], [messages], [began]] = [
            look.execute(f"select count(*) from {table}").fetchone()
            for table in ("events", "messages", "message_events")
        ]
    assert 0 < events == messages == began <= accepted


async def test_a_copy_is_never_written_over_a_file_and_a_damaged_store_gives_none(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, "sqlite:///./k.db")
    assert "there is no store yet" in await place.backup(tmp_path / "b", code=3)
    async with running(place.config) as site:
        for _ in range(10):
            await site.post(*(site.event() for _ in range(50)))
    there = tmp_path / "there"
    there.write_text("mine")
    assert "is there already" in await place.backup(there, code=2)
    assert there.read_text() == "mine"
    assert "make it first" in await place.backup(tmp_path / "no" / "b", code=2)

    with (tmp_path / "k.db").open("r+b") as file:
        file.seek(8192 * 3)
        file.write(os.urandom(8192 * 6))
    with closing(sqlite3.connect(tmp_path / "k.db")) as look:
        assert look.execute("pragma integrity_check(1)").fetchone() != ("ok",)
    assert "No backup was made" in await place.backup(tmp_path / "b", code=1)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("b")]
