"""
A whole installation in a folder: workers, their database, the broker, the stand-ins, and a balancer
for receipts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from orchestrator.sandbox import Accounts
from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.verify.chaos import settings, tours
from tests.verify.chaos.processes import Worker, answers, spawn, tail
from tests.verify.kafka_broker import Broker

SUPERVISE_SECONDS = 0.25
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Exit:
    """A worker that ended without a stop signal."""

    at: float
    worker: str
    code: int
    words: str


class Stack:
    """
    ``workers`` processes over one store: ``postgres`` where it is given, else SQLite (then one
    worker).

    ``record`` is what the stand-ins wrote down, fsynced before they answered: the ground truth.
    ``exits`` are workers that ended by themselves; a supervisor has started them again, as any
    installation has one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int,
        postgres: Server | None = None,
        broker: Broker | None = None,
    ) -> None:
        assert postgres is not None or workers == 1, "the embedded store is for one process"
        self.folder = folder
        self.record = folder / "accepted.jsonl"
        self.postgres, self.broker = postgres, broker
        self.workers = [Worker(f"worker{number}", folder) for number in range(1, workers + 1)]
        self.sandbox_port, self.smtp_port, self.balancer_port = (
            free_port(),
            free_port(),
            free_port(),
        )
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.public_url = f"http://127.0.0.1:{self.balancer_port}"
        self.store = "sqlite:///./kaskad.db"
        self.exits: list[Exit] = []
        self.start_seconds = 0.0
        self._beside: list[subprocess.Popen[bytes]] = []
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stack:
        if self.postgres is not None:
            self.store = await asyncio.to_thread(self.postgres.create_database)
        self._write(self.store)
        beside, ports = "tests.verify.chaos", [str(worker.port) for worker in self.workers]
        standins = [
            "-m",
            f"{beside}.standins",
            str(self.sandbox_port),
            str(self.smtp_port),
            str(self.record),
        ]
        self._beside.append(spawn(standins, self.folder / "standins.log"))
        self._beside.append(
            spawn(
                ["-m", f"{beside}.balancer", str(self.balancer_port), *ports],
                self.folder / "balancer.log",
            )
        )
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        try:
            await answers(
                self.session, f"{self.sandbox_url}/_sandbox/callbacks", self.folder / "standins.log"
            )
            await self.script(settings.script())
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        await self.session.close()
        for worker in self.workers:
            worker.kill()
        for process in self._beside:
            process.kill()
            process.wait()

    async def start(self) -> None:
        """
        Start every worker that is not running and wait until all are ready; ``start_seconds`` is
        how long that took.
        """
        began = time.monotonic()
        for worker in self.workers:
            if not worker.running:
                worker.start()
        for worker in self.workers:
            await worker.ready(self.session)
        self.start_seconds = time.monotonic() - began

    def _write(self, store: str) -> None:
        accounts = Accounts()
        kafka = settings.KAFKA.format(broker=self.broker.address) if self.broker is not None else ""
        for worker in self.workers:
            text = settings.CONFIG.format(
                store=store,
                sources=kafka,
                sandbox=self.sandbox_url,
                public=self.public_url,
                port=worker.port,
                admin=worker.admin,
                timeout=settings.TIMEOUT_SECONDS,
                bulk_rate=settings.BULK_RATE,
                blast_rate=settings.BLAST_RATE,
                infobip_key=accounts.infobip_api_key,
                twilio_sid=accounts.twilio_account_sid,
                twilio_token=accounts.twilio_auth_token,
                twilio_from=accounts.twilio_from,
            )
            worker.config.write_text(text)
        (self.folder / "governance.yaml").write_text(settings.GOVERNANCE)
        (self.folder / "policies").mkdir()
        for name, text in settings.POLICIES.items():
            (self.folder / "policies" / f"{name}.yaml").write_text(text)
            templates = self.folder / "templates" / name
            templates.mkdir(parents=True)
            for channel in settings.CHANNELS[name]:
                (templates / f"{channel}.text.j2").write_text(settings.TEXT)
        tours.write(self.folder)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(SUPERVISE_SECONDS)
            for worker in self.workers:
                if (
                    worker.wanted
                    and worker.process is not None
                    and worker.process.poll() is not None
                ):
                    words = tail(worker.log, 300).strip().rpartition("\n")[2]
                    self.exits.append(
                        Exit(time.time(), worker.name, worker.process.returncode, words)
                    )
                    worker.start()

    # -- the stand-ins

    async def script(self, script: dict[str, Any]) -> None:
        async with self.session.put(f"{self.sandbox_url}/_sandbox/script", json=script) as answer:
            assert answer.status < 300, await answer.text()

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that the stand-ins took, in their own words."""
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines() if line.strip()]

    # -- the API

    def any_url(self) -> str:
        """The URL of any worker; callers try another if it does not answer."""
        return random.choice(self.workers).url

    async def get(
        self, path: str, params: dict[str, str] | None = None, seconds: float = 60.0
    ) -> Any:
        """The JSON of a GET from whichever worker answers."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                timeout = aiohttp.ClientTimeout(total=30)
                async with self.session.get(
                    self.any_url() + path, params=params, timeout=timeout
                ) as answer:
                    if answer.status == 200:
                        return await answer.json()
            assert time.monotonic() < deadline, (
                f"nobody answers GET {path}: {tail(self.workers[0].log)}"
            )
            await asyncio.sleep(0.2)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Every message there is, newest first."""
        async for message in self._pages("/v1/messages"):
            yield message

    async def journeys(self) -> AsyncIterator[dict[str, Any]]:
        """Every journey there is, newest first."""
        async for run in self._pages("/v1/journeys"):
            yield run

    async def _pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        params = {"limit": str(PAGE)}
        while True:
            page = await self.get(path, params)
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]

    async def running_journeys(self) -> int:
        """The number of journeys that have not ended, up to one page."""
        return len((await self.get("/v1/journeys", {"status": "running"}))["items"])

    async def open_messages(self) -> int:
        """The number of messages that have not ended, up to one page of each status."""
        pages = [
            await self.get("/v1/messages", {"status": status, "limit": "500"})
            for status in ("accepted", "running")
        ]
        return sum(len(page["items"]) for page in pages)
