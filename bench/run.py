"""
One run: what was asked for, the table, the JSON, and whether a bar was missed.

Environment: ``BENCH_QUICK=1`` takes fewer repeats and smaller counts; ``BENCH_JSON=PATH`` writes
the figures there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.figures import Figure, number, table
from bench.groups.cascade import Cascade
from bench.groups.ceilings import Ceilings
from bench.groups.commands import Commands
from bench.groups.floor import Floor
from bench.groups.growth import Growth
from bench.groups.latency import Latency
from bench.groups.life import Life
from bench.groups.pending import Pending
from bench.groups.reports import Reports
from bench.groups.rounds import Rounds
from bench.groups.timers import TimerBurst
from bench.machine import Neighbours, machine_line
from bench.stage import Stage
from bench.worker import quieten

FINE, MISSED, USAGE, STOPPED = 0, 1, 2, 130
GROUPS: dict[str, type[Rounds]] = {
    group.name: group
    for group in (
        Ceilings,
        Floor,
        Life,
        Cascade,
        Pending,
        TimerBurst,
        Latency,
        Growth,
        Commands,
        Reports,
    )
}
NAMES = tuple(GROUPS)
T = TypeVar("T")


def chosen(only: str) -> list[str]:
    """
    The groups that ``only`` names, in the order of the table; all for an empty one. Raises
    ``ValueError``.
    """
    wanted = {part.strip() for part in only.split(",") if part.strip()}
    if unknown := wanted - set(NAMES):
        raise ValueError(
            f"there is no group {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}"
        )
    return [name for name in NAMES if not wanted or name in wanted]


async def measure(names: Sequence[str], *, quick: bool) -> dict[str, list[Figure]]:
    """Every figure of the groups; all processes and files that it took are gone when it returns."""
    with tempfile.TemporaryDirectory(prefix="kaskad-bench-", ignore_cleanup_errors=True) as folder:
        async with Stage(Path(folder), quick=quick) as stage:
            groups = [GROUPS[name](stage) for name in names]
            figures = await rounds(
                [group for group in groups if group.together], stage, stage.repeats
            )
            for group in groups:
                if not group.together:
                    figures |= await rounds([group], stage, 1)
            return figures


async def rounds(groups: Sequence[Rounds], stage: Stage, turns: int) -> dict[str, list[Figure]]:
    """Measure groups turn by turn. A group that cannot be opened says so in all its figures."""
    able: list[Rounds] = []
    try:
        for group in groups:
            stage.say(f"{group.name}: starting")
            if await group.attempt(group.open, *group.figures):
                able.append(group)
        for turn in range(turns if able else 0):
            stage.say(f"{', '.join(group.name for group in able)}: turn {turn + 1} of {turns}")
            for group in able:
                await group.turn()
    finally:
        for group in groups:
            await group.close()
    every = {key: figure for group in groups for key, figure in group.figures.items()}
    for group in groups:
        group.conclude(every)
    return {group.name: list(group.figures.values()) for group in groups}


async def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """
    Do the work; SIGINT and SIGTERM cancel it, so that it cleans up. Raises ``CancelledError`` then.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, task.cancel)
    return await task


def report(machine: str, groups: dict[str, list[Figure]], seconds: float) -> str:
    """The machine, the table, and the bars that were missed, or of which nobody knows."""
    every = [figure for figures in groups.values() for figure in figures if figure.bar is not None]
    last = [
        f"MISSED  {one.what}: {number(one.value)} {one.unit}, the bar is {one.bar}"
        for one in every
        if one.missed
    ]
    last += [
        f"NOT MEASURED  {one.what}, the bar is {one.bar}: {one.why_not}"
        for one in every
        if one.unjudged
    ]
    last = last or ["no bar was missed"]
    last += [f"left out on this machine: {one.what}: {one.why_not}" for one in every if one.absent]
    end = "\n".join(last)
    return f"{machine}\n\n{table(groups)}\n\n{end}\n({seconds:.0f} s)"


def as_json(
    machine: str, groups: dict[str, list[Figure]], quick: bool, seconds: float
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "machine": machine,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "quick": quick,
        "seconds": round(seconds, 1),
        "groups": {
            name: [figure.as_json() for figure in figures] for name, figures in groups.items()
        },
        "missed": [one.key for figures in groups.values() for one in figures if one.missed],
        "unjudged": [one.key for figures in groups.values() for one in figures if one.unjudged],
    }


def bench(only: str, env: Mapping[str, str], *, output: str = "text") -> int:
    """
    Measure and print. The exit code: 0 fine, 1 a bar was missed or could not be judged, 2 there is
    no such group, or no /proc, 130 it was stopped.
    """
    if not Path("/proc/self/stat").exists():
        sys.stderr.write("the bench reads CPU times from /proc, so it needs Linux\n")
        return USAGE
    try:
        names = chosen(only)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    quieten()
    quick = env.get("BENCH_QUICK", "") not in ("", "0")
    machine, started, neighbours = machine_line(), time.monotonic(), Neighbours()
    try:
        groups = asyncio.run(until_stopped(measure(names, quick=quick)))
    except asyncio.CancelledError:
        sys.stderr.write("stopped; everything that was started has ended\n")
        return STOPPED
    seconds = time.monotonic() - started
    machine += f"; others took {neighbours.share():.0%} of it meanwhile"
    document = as_json(machine, groups, quick, seconds)
    if path := env.get("BENCH_JSON"):
        Path(path).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    print(
        json.dumps(document, ensure_ascii=False)
        if output == "json"
        else report(machine, groups, seconds)
    )
    return MISSED if document["missed"] or document["unjudged"] else FINE


def main(arguments: Sequence[str]) -> int:
    """``python -m bench [--only group,group] [-o json]``."""
    import argparse

    parser = argparse.ArgumentParser(prog="bench", description="How fast, measured.")
    parser.add_argument("--only", default="", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    given = parser.parse_args(arguments)
    return bench(given.only, os.environ, output=given.output)
