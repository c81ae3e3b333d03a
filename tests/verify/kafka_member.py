"""
A member of a consumer group as a process of its own: the real intake in front of an engine that
writes each accepted event down, fsynced before it answers, into one file that all members append
to. That file is the ground truth.

    python -m tests.verify.kafka_member '{"name": "a", "record": "…/accepted", "bootstrap_servers":
    "…", …}'

It answers out of order, is busy and fails now and then, as its seed says. A file ``blocked`` beside
the record stops it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import structlog

from orchestrator.engine.commands import (
    Cancel,
    Command,
    Conflict,
    DeadLetter,
    Publish,
    Published,
    UnknownMessage,
)
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.kafka import Bounds, KafkaIntake

WAITING_MAX = 1_000
BATCH_MAX = 64


class WritingEngine:
    """
    ``pace_ms``: how long a batch takes; ``fails``: the share of batches that the store refuses.
    """

    def __init__(self, name: str, record: Path, seed: int, pace_ms: float, fails: float) -> None:
        self._name = name
        self._file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._blocked = record.with_name("blocked")
        self._chance = random.Random(seed)
        self._pace = pace_ms / 1000
        self._fails = fails
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._working: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.stopping = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        if self.stopping:
            raise Stopped("stopping")
        if len(self._waiting) >= WAITING_MAX:
            raise Busy("too much is waiting")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        self._changed.set()
        return answer

    async def run(self) -> None:
        """
        Up to three batches at once, so that a later one is often durable before an earlier one.
        """
        while True:
            if not self._waiting or len(self._working) >= 3:
                self._changed.clear()
                await self._changed.wait()
                continue
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            task = asyncio.create_task(self._write(batch))
            self._working.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._changed.set()

    async def _write(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        await asyncio.sleep(self._pace * self._chance.uniform(0.1, 2.0))
        while self._blocked.exists():  # noqa: ASYNC110  a file sends no events
            await asyncio.sleep(0.1)
        if self._chance.random() < self._fails:
            for _, answer in batch:
                settle(answer, OSError("the store is away"))
            return
        lines = "".join(
            self._line(command) for command, _ in batch if isinstance(command, Publish | DeadLetter)
        )
        await asyncio.to_thread(self._append, lines.encode())
        for command, answer in batch:
            if isinstance(command, Cancel):
                settle(answer, UnknownMessage(command.message))
            elif isinstance(command, Publish) and command.event.attributes.get("conflicts"):
                settle(answer, Conflict("the source and id were used before"))
            elif isinstance(command, Publish) and command.event.attributes.get("breaks"):
                settle(answer, ZeroDivisionError("a bug"))
            else:
                settle(
                    answer,
                    "letter" if isinstance(command, DeadLetter) else Published("accepted", ("m",)),
                )

    def _line(self, command: Publish | DeadLetter) -> str:
        found = {"by": self._name}
        if isinstance(command, DeadLetter):
            found |= {
                "letter": command.origin,
                "reason": command.reason,
                "body": command.body.hex(),
            }
        else:
            found |= {"id": command.event.id}
        return json.dumps(found) + "\n"

    def _append(self, lines: bytes) -> None:
        os.write(self._file, lines)
        os.fsync(self._file)


def settle(answer: asyncio.Future[Any], result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
        answer.exception()
    else:
        answer.set_result(result)


async def main(given: dict[str, Any]) -> None:
    record = Path(given.pop("record"))
    name, state = given.pop("name"), Path(given.pop("state"))
    engine = WritingEngine(
        name, record, given.pop("seed"), given.pop("pace_ms"), given.pop("fails")
    )
    working = asyncio.create_task(engine.run())
    errors: list[str] = []
    intake = KafkaIntake(
        engine, **given | {"bounds": Bounds(**given.pop("bounds"))}, on_error=errors.append
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await intake.start()
    while not stopping.is_set():
        lag = [[topic, partition, records] for (topic, partition), records in intake.lag.items()]
        half = state.with_suffix(".half")
        half.write_text(
            json.dumps({"connected": intake.connected, "lag": lag, "errors": sorted(set(errors))})
        )
        half.rename(state)
        try:
            await asyncio.wait_for(stopping.wait(), 0.2)
        except TimeoutError:
            continue
    await intake.stop()
    engine.stopping = True
    working.cancel()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(json.loads(sys.argv[1])))
