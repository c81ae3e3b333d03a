"""
Helpers in processes of their own: asked by JSON lines on standard input, answering by JSON lines on
standard output.

A helper ends when its input does, so none outlives the run, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
ANSWER_SECONDS = 300.0
STOP_SECONDS = 10.0
LINE_BYTES_MAX = 4 * 1024 * 1024

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class BenchError(Exception):
    """A figure cannot be had; the words say why."""


class Absent(BenchError):
    """A figure cannot be had on this machine: a program that it needs is not installed."""


def environment() -> dict[str, str]:
    """The environment of every process that is started here: ours first on the path."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


class Worker:
    """The near end of a helper."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self.hello: dict[str, Any] = {}

    @classmethod
    async def start(cls, module: str, **options: Any) -> Worker:
        """Run ``python -m module`` with its options and wait for its first line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            json.dumps(options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
            limit=LINE_BYTES_MAX,
        )
        worker = cls(process, module)
        worker.hello = await worker._answer(ANSWER_SECONDS)
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, do: str, *, within: float | None = None, **values: Any) -> dict[str, Any]:
        """
        One command and its answer. Raises ``BenchError`` where it fails, or takes longer than
        ``within`` seconds.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._answer(ANSWER_SECONDS if within is None else within)

    async def _answer(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within)
        except TimeoutError:
            raise BenchError(f"{self._name} did not answer within {within:.0f} s") from None
        if not line:
            raise BenchError(f"{self._name} ended with {await self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(f"{self._name}: {answer['error']}")
        return answer

    async def stop(self) -> None:
        """Close its input, and kill it where that does not end it."""
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def run(main: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]) -> None:
    """The far end: ``main`` gets the options that the process was started with."""
    quieten()
    uvloop.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))


def quieten() -> None:
    """Silence the Kafka client's remarks on a broker that is still starting."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def say(answer: dict[str, Any]) -> None:
    """Write one answer as a line to stdout."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def obey(handlers: dict[str, Handler], hello: dict[str, Any]) -> None:
    """Say hello, then carry out commands until the input ends."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    say(hello)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            say(await handlers[command.pop("do")](command))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})
