"""A consumer group of real processes, and what they wrote down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.verify.kafka_broker import Broker

QUICK = {
    "session_timeout_ms": 6_000,
    "rebalance_timeout_ms": 8_000,
    "revoke_seconds": 3.0,
    "watch_seconds": 1.0,
}


class Group:
    """``start`` a member by name, ``kill`` it, ``stop`` it, ``freeze`` and ``thaw`` it."""

    def __init__(self, broker: Broker, folder: Path, topics: list[str], **more: Any) -> None:
        self.broker = broker
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.record = folder / "accepted"
        self.topics = topics
        self.name = f"group-of-{topics[0]}"
        self._given = {"pace_ms": 20.0, "fails": 0.02, "dead_letters": None, "security": {}} | more
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._seed = 0

    async def __aenter__(self) -> Group:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def start(self, name: str) -> None:
        self._seed += 1
        bounds = QUICK | dict(self._given.get("bounds", {}))
        given = self._given | {
            "bounds": bounds,
            "name": name,
            "record": str(self.record),
            "state": str(self.folder / f"{name}.json"),
            "seed": self._seed,
            "bootstrap_servers": self.broker.address,
            "topics": self.topics,
            "group": self.name,
        }
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.verify.kafka_member", json.dumps(given)]
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": "."}
            )

    def kill(self, name: str) -> None:
        """SIGKILL: it says goodbye to nobody."""
        self._processes[name].kill()
        self._processes[name].wait()

    async def stop(self, name: str) -> int:
        """Send SIGTERM once the process handles it; return the exit code."""

        async def handles_signals() -> bool:
            return (self.folder / f"{name}.json").exists()

        await until(handles_signals, say=lambda: self.log_tail(name))
        self._processes[name].send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._processes[name].wait, 30)

    def freeze(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def alive(self) -> list[str]:
        return [name for name, process in self._processes.items() if process.poll() is None]

    def state(self, name: str) -> dict[str, Any]:
        """
        The state a member reports: connected, lag as [topic, partition, records], errors so
        far.
        """
        path = self.folder / f"{name}.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return {"connected": False, "lag": [], "errors": []} | found

    def log_tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def lines(self) -> list[dict[str, Any]]:
        """Everything that was made durable, in order."""
        if not self.record.exists():
            return []
        text = self.record.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def accepted(self) -> Counter[str]:
        """
        Count the acceptances of each event; more than once is a repeat that the store would know.
        """
        return Counter(line["id"] for line in self.lines() if "id" in line)

    def accepted_by(self) -> Counter[str]:
        return Counter(line["by"] for line in self.lines())

    def letters(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "letter" in line]

    async def caught_up(self, seconds: float = 90) -> None:
        """Until the committed offsets are the ends of the logs."""

        async def committed_all() -> bool:
            ends = {
                place: end for place, end in (await self.broker.ends(self.topics)).items() if end
            }
            committed = await self.broker.committed(self.name)
            return all(committed.get(place) == end for place, end in ends.items())

        await until(
            committed_all,
            seconds,
            lambda: "\n".join(self.log_tail(name) for name in self._processes),
        )


async def until(
    condition: Callable[[], Awaitable[bool]],
    seconds: float = 60,
    say: Callable[[], str] = lambda: "",
) -> None:
    """Wait until a condition holds that only looking again can find out."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"it never came to be: {say()}"
        await asyncio.sleep(0.2)
