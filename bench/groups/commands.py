"""Measure how long the command line takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.figures import at_most
from bench.groups.rounds import Rounds
from bench.place import COMMAND, Service, last_words, policy, spawn
from bench.stage import Stage
from bench.worker import BenchError, environment

POLICIES = 200
WITHIN_SECONDS = 60.0


class Commands(Rounds):
    name = "commands"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.figure("help_seconds", "kaskad --help", "s", at_most(0.3))
        self.figure("check_seconds", f"kaskad check, {POLICIES} policies", "s", at_most(1.0))

    async def turn(self) -> None:
        installation = self.stage.installation("check")
        many_policies(installation)
        check = ("check", str(installation.config))
        for _ in range(5):
            await self.attempt(lambda: self._time("help_seconds", "--help"), "help_seconds")
            await self.attempt(lambda: self._time("check_seconds", *check), "check_seconds")

    async def _time(self, key: str, *arguments: str) -> None:
        seconds = await timed(self.stage.folder / "commands.log", *arguments)
        self.figures[key].values.append(seconds)


async def timed(log: Path, *arguments: str) -> float:
    """How many seconds ``kaskad`` takes with these arguments."""
    started = time.monotonic()
    process = spawn([*COMMAND, *arguments], log, env=environment())
    try:
        code = await asyncio.to_thread(process.wait, WITHIN_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        raise BenchError(f"kaskad {' '.join(arguments)} ended with {code}: {last_words(log)}")
    return time.monotonic() - started


def many_policies(service: Service) -> None:
    """Write ``count`` policies, each with an event of its own."""
    folder: Path = service.folder / "policies"
    for place in range(POLICIES - len(list(folder.iterdir()))):
        text = policy("cascade").replace("policy: bench_cascade", f"policy: bench_{place}")
        (folder / f"more_{place}.yaml").write_text(
            text.replace("bench.cascade", f"bench.more.{place}")
        )
