"""
A verb's way to the store: through the running service where there is one, else by a service of its
own without workers.

Either way the same calls answer, so a verb does the same thing whether or not anything is running.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import typer
from yarl import URL

from orchestrator.cli.common import CHECK_FAILED, NO_CONNECTION, USAGE, fail, how_called
from orchestrator.primitives.visible import visible

START_SECONDS = 10.0
"""How long a service that is being started is waited for."""
POLL_SECONDS = 0.25

BUSY_SECONDS = 60


class Client:
    """Calls over a Unix socket. A refusal ends the program with what the service says."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        """The JSON of the answer; ``body`` is JSON, or bytes as they are."""
        status, found = await self._reach(method, path, body, content_type)
        if status >= 400:
            fail(words(found, status), CHECK_FAILED)
        return found

    async def record(self, path: str, body: bytes) -> list[dict[str, Any]]:
        """
        The result of each entry of a bulk call, also if all of them were refused. A service that
        has too much to do is asked again for ``BUSY_SECONDS``.
        """
        for tries_left in reversed(range(BUSY_SECONDS)):
            status, found = await self._reach("POST", path, body)
            if isinstance(found, dict) and "results" in found:
                return list(found["results"])
            if status not in (429, 503) or not tries_left:
                break
            await asyncio.sleep(1)
        fail(words(found, status), NO_CONNECTION if status == 503 else CHECK_FAILED)

    async def _reach(self, *request: Any) -> tuple[int, Any]:
        """Like ``ask``, but a service that cannot be reached ends the program."""
        try:
            return await self.ask(*request)
        except aiohttp.ClientError as error:
            fail(f"the service went away while it was asked: {error}", NO_CONNECTION)

    async def ask(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """The status and the JSON of the answer. Raises ``aiohttp.ClientError``."""
        options: dict[str, Any] = {"headers": {"content-type": content_type}}
        if isinstance(body, bytes):
            options["data"] = body
        elif body is not None:
            options["json"] = body
        url = URL(f"http://kaskad{path}", encoded=True)
        async with self._session.request(method, url, **options) as answer:
            text = await answer.read()
        try:
            return answer.status, orjson.loads(text) if text else {}
        except ValueError:
            fail(words(None, answer.status), CHECK_FAILED)


def words(problem: Any, status: int) -> str:
    """The text of an error response of any shape."""
    if isinstance(problem, dict):
        if "results" in problem:
            errors = [result.get("error", {}) for result in problem["results"]]
            return "\n".join(str(error.get("what", error)) for error in errors)
        return str(problem.get("detail") or problem.get("error") or problem.get("title") or problem)
    return f"the service answered {status}"


@asynccontextmanager
async def service(config: Path, *, must_run: bool = False) -> AsyncIterator[Client]:
    """
    A client of the service that this configuration describes. ``must_run``: with an embedded store
    a service that runs is waited for, and without one the program ends.
    """
    from orchestrator.configuration.settings_file import load_store_settings
    from orchestrator.configuration.store_settings import socket_path
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        settings = load_store_settings(config, os.environ)
    except ConfigError as error:
        fail(str(error), USAGE)
    running = socket_path(settings.store)
    if running is not None:
        session = await connected(running, START_SECONDS if must_run else 0)
        if session is not None:
            async with session:
                yield Client(session)
            return
        if must_run:
            what = f"no service runs on {settings.store.path}"
            fail(f"{what}; start one: {how_called()} run", NO_CONNECTION)
    from orchestrator.app.app import App
    from orchestrator.stores.port import StoreBusy, StoreInUse

    with tempfile.TemporaryDirectory(prefix="kaskad-") as directory:
        socket = Path(directory) / "control.sock"
        app = App(config, os.environ)
        try:
            await app.start_offline(socket)
        except ConfigError as error:
            fail(str(error), USAGE)
        except (StoreBusy, StoreInUse, OSError) as error:
            fail(str(error), NO_CONNECTION)
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(socket))
            ) as session:
                yield Client(session)
        finally:
            await app.stop()


async def connected(socket: Path, seconds: float) -> aiohttp.ClientSession | None:
    """A session with the service behind a socket; None if none answers for so many seconds."""
    until = time.monotonic() + seconds
    while True:
        session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)))
        try:
            async with session.get("http://kaskad/control/keys"):
                return session
        except aiohttp.ClientConnectionError:
            await session.close()
        if time.monotonic() >= until:
            return None
        await asyncio.sleep(POLL_SECONDS)


def table(rows: list[list[str]], headings: list[str]) -> None:
    """Rows in columns, as wide as they need; what a terminal would obey is written out."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for row in [headings, *rows]:
        typer.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
