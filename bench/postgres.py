"""A PostgreSQL server in a folder, durable as in production, run by an unprivileged user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import asyncpg

from bench.place import free_port, last_words, spawn
from bench.worker import Absent, BenchError

START_SECONDS = 30.0
STOP_SECONDS = 30.0
USERS = ("postgres", "nobody")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_connections": "100",
    "max_wal_size": "4GB",
    "track_io_timing": "off",
}


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``. Raises ``Absent``."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if pg_config := shutil.which("pg_config"):
        said = subprocess.run(
            [pg_config, "--bindir"], check=True, capture_output=True, text=True
        ).stdout
        places.append(Path(said.strip()))
    if initdb := shutil.which("initdb"):
        places.append(Path(initdb).resolve().parent)
    found = next(
        (
            place
            for place in places
            if (place / "initdb").exists() and (place / "postgres").exists()
        ),
        None,
    )
    if found is None:
        raise Absent("PostgreSQL's server programs are not installed (initdb, postgres)")
    return found


def owner() -> pwd.struct_passwd | None:
    """Whom the server must run as: nobody special, None where we are nobody special ourselves."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Absent("PostgreSQL refuses to run as root, and there is no other user here")


class Postgres:
    """One server. ``url`` is that of its first database."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port
        self.url = self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://bench@127.0.0.1:{self._port}/{database}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, folder: Path) -> Postgres:
        """Make a cluster in ``folder`` and run it."""
        bin, user, port = programs(), owner(), free_port()
        ids = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        if user is not None:
            let_in(folder, user)
        make: list[str | Path] = [
            bin / "initdb",
            "-D",
            folder / "data",
            "-U",
            "bench",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        making = spawn(make, folder / "initdb.log", cwd=folder, **ids)
        if await asyncio.to_thread(making.wait):
            raise BenchError(f"initdb failed: {last_words(folder / 'initdb.log')}")
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            bin / "postgres",
            "-D",
            folder / "data",
            "-p",
            str(port),
            *settings,
        ]
        server = cls(spawn(command, folder / "postgres.log", cwd=folder, **ids), port)
        await server._answers(folder / "postgres.log")
        return server

    async def _answers(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                await (await asyncpg.connect(self.url, timeout=2)).close()
                return
            except (OSError, asyncpg.PostgresError, TimeoutError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    await self.stop()
                    raise BenchError(f"PostgreSQL did not start: {last_words(log)}") from None
                await asyncio.sleep(0.1)

    async def database(self, name: str) -> str:
        """A new database; its URL."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f'create database "{name}"')
        finally:
            await connection.close()
        return self.url_of(name)

    async def stop(self) -> None:
        """A fast shutdown, then SIGQUIT (an immediate one)."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            await asyncio.to_thread(self._process.wait)


def let_in(folder: Path, user: pwd.struct_passwd) -> None:
    """Give a folder to a user, and let them pass through the run's own folder above it."""
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
