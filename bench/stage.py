"""
The resources a run shares: a folder, the helpers, a PostgreSQL and a broker if they are
installed, and their shutdown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

from bench.kafka import Kafka
from bench.place import SECRET, Service
from bench.postgres import Postgres
from bench.worker import BenchError, Worker

WITHIN_SECONDS = 240.0


class HasPort(Protocol):
    """Something that takes receipts."""

    @property
    def port(self) -> int: ...


class Stage:
    """
    ``quick``: fewer repeats, smaller counts. Services, servers and helpers that are started through
    it end with it.
    """

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.repeats = 3 if quick else 5
        self._started = time.monotonic()
        self._exits = AsyncExitStack()
        self._had: dict[str, Any] = {}
        self._number = 0
        self._next_event = 1

    async def __aenter__(self) -> Stage:
        feed = str(self.folder / "feed.sock")
        self.poster = await self.worker("bench.poster", feed=feed)
        self.sink = await self.worker("bench.sink", feed=feed)
        self.publisher = await self.worker("bench.publisher")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def worker(self, module: str, **options: Any) -> Worker:
        """A helper in a process of its own, which ends with the run."""
        worker = await Worker.start(module, **options)
        self._exits.push_async_callback(worker.stop)
        return worker

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def say(self, what: str) -> None:
        """Progress, on standard error."""
        sys.stderr.write(f"[{time.monotonic() - self._started:6.1f} s] {what}\n")
        sys.stderr.flush()

    @property
    def sink_port(self) -> int:
        return int(self.sink.hello["port"])

    def subfolder(self, name: str) -> Path:
        """A new folder of that name."""
        self._number += 1
        folder = self.folder / f"{self._number:02d}-{name}"
        folder.mkdir()
        return folder

    def installation(self, name: str, **options: Any) -> Service:
        """A service in a folder of its own, not running yet."""
        service = Service(self.subfolder(name), self.sink_port, **options)
        self._exits.push_async_callback(service.stop)
        return service

    async def service(self, name: str, **options: Any) -> Service:
        """A running service in a folder of its own."""
        service = self.installation(name, **options)
        await service.start()
        return service

    async def bare(self) -> Worker:
        """A fresh process for a ceiling."""
        return await self.worker("bench.bare", serve=True)

    async def postgres(self) -> Postgres:
        """A PostgreSQL server of our own. Raises ``BenchError`` where there can be none."""
        found: Postgres = await self._once(
            "postgres", lambda: Postgres.start(self.subfolder("postgres"))
        )
        return found

    async def kafka(self) -> Kafka:
        """A broker of our own. Raises ``BenchError`` where there can be none."""
        found: Kafka = await self._once("kafka", lambda: Kafka.start(self.subfolder("kafka")))
        return found

    async def _once(self, name: str, start: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._had:
            try:
                self._had[name] = await start()
                self._exits.push_async_callback(self._had[name].stop)
            except BenchError as error:
                self._had[name] = error
        if isinstance(self._had[name], BenchError):
            raise self._had[name]
        return self._had[name]

    # ---- what most figures do

    def numbers(self, count: int) -> int:
        """The first of ``count`` events that nobody has had yet."""
        first, self._next_event = self._next_event, self._next_event + count
        return first

    async def aim(self, services: Sequence[HasPort], kinds: str) -> None:
        """Receipts go to those services from now on; counts start at nothing."""
        await self.poster.ask(
            "aim", ports=[service.port for service in services], kinds=kinds, secret=SECRET
        )
        await self.sink.ask("reset")
        await self.poster.ask("reset")

    async def receipts(self, count: int, within: float = WITHIN_SECONDS) -> None:
        """
        Wait until that many receipts were answered, every one of them well. Raises ``BenchError``.
        """
        found = await self.poster.ask("wait", within=within + 10, count=count, seconds=within)
        if found["statuses"] != {"200": count}:
            raise BenchError(f"{count} receipts were expected and answered 200; instead: {found}")
