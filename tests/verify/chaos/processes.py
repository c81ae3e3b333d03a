"""
Processes that a test starts, hurts and ends: workers of the service, and whatever stands beside
them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
START_SECONDS = 60.0
DRAIN_SECONDS_MAX = 40.0
RUN = "from orchestrator.cli import main; main()"


def spawn(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A Python process with its output in ``log``."""
    with log.open("ab") as file:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env=environment,
        )


class Worker:
    """
    One ``kaskad run``. ``wanted`` is whether it should be running: a supervisor starts it again
    where it ended by itself.

    ``busy`` is set while something is done to it, so that nothing else is.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.config = folder / f"{name}.yaml"
        self.log = folder / f"{name}.log"
        self.port, self.admin = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.wanted = False
        self.busy = False
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.wanted = True
        self.process = spawn(["-c", RUN, "run", "--config", str(self.config)], self.log)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        self.wanted = False
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """SIGSTOP: it holds what it holds, and does not know that time goes by."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def drain(self) -> tuple[int, float]:
        """SIGTERM; the exit code and the seconds it took."""
        assert self.process is not None
        self.wanted = False
        began = time.monotonic()
        self._signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self.process.wait, DRAIN_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -int(signal.SIGKILL)
        return code, time.monotonic() - began

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """
        Wait until it says that it is ready. Raises AssertionError with its own words where it never
        is.
        """
        await answers(session, f"http://127.0.0.1:{self.admin}/readyz", self.log)

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Its readiness by its own answer; without an answer for a second it is not ready."""
        try:
            timeout = aiohttp.ClientTimeout(total=1)
            async with session.get(
                f"http://127.0.0.1:{self.admin}/readyz", timeout=timeout
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


async def answers(
    session: aiohttp.ClientSession, url: str, log: Path, seconds: float = START_SECONDS
) -> None:
    """Wait until a URL answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                if answer.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        assert time.monotonic() < deadline, f"{url} does not answer: {tail(log)}"
        await asyncio.sleep(0.05)


def tail(log: Path, chars: int = 3000) -> str:
    return log.read_text(errors="replace")[-chars:] if log.exists() else ""
