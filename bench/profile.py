"""
Profile the whole life of a message: one leg of the group ``life``, watched by py-spy from outside,
or by cProfile from inside where py-spy is not installed or may not look.

    python -m bench.profile [--leg life_sqlite] [--count 8000] [--top 45] [--out PATH] [--how
    py-spy|cprofile]

Prints, and with ``--out`` writes, three tables: time by module, by function itself, and by function
with what it calls.
"""

from __future__ import annotations

import argparse
import asyncio
import pstats
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.groups.life import Life
from bench.machine import machine_line
from bench.stage import Stage
from bench.worker import BenchError

SAMPLES_PER_SECOND = 400
LEGS = ("life_sqlite", "life_kafka", "life_postgres")
WRITE_SECONDS = 60.0
WAITING = ("_worker (concurrent/futures/thread.py)",)
"""Leaves where a thread waits for work, which py-spy takes for work."""
AROUND = ("typer/", "uvloop/", "asyncio/runners", "orchestrator/cli", "<string>")
"""Frames that enclose all of a service's time."""
INSIDE = """\
import cProfile
from orchestrator.cli import main
watch = cProfile.Profile()
try:
    watch.runcall(main)
finally:
    watch.dump_stats({path!r})
"""


@dataclass(slots=True)
class Shares:
    """
    Time by module, by function itself, and by function with its callees; in samples or in seconds.
    """

    total: float = 0.0
    modules: Counter[str] = field(default_factory=Counter)
    own: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)


def read_stacks(lines: Iterable[str]) -> Shares:
    """py-spy's raw format: ``frame;frame;frame count``, a frame being ``function (file:line)``."""
    shares = Shares()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = [shortened(frame) for frame in stack.split(";") if "(" in frame]
        if not frames or frames[-1] in WAITING:
            continue
        samples = int(count)
        shares.total += samples
        shares.own[frames[-1]] += samples
        shares.modules[module_of(frames[-1])] += samples
        for frame in set(frames):
            if not frame.partition(" (")[2].startswith(AROUND):
                shares.whole[frame] += samples
    return shares


def shortened(frame: str) -> str:
    """``function (file)``, without the line and without what all files have before them."""
    name, _, place = frame.rstrip(")").rpartition(" (")
    return f"{name} ({short(place.rpartition(':')[0] or place)})"


def short(path: str) -> str:
    """A file's path from its package on."""
    for mark in ("site-packages/", "/orchestrator/", "/adapters/", "/python3.11/"):
        before, found, after = path.rpartition(mark)
        if found and before:
            return (
                mark.strip("/") + "/" + after if mark in ("/orchestrator/", "/adapters/") else after
            )
    return path


def module_of(frame: str) -> str:
    """``orchestrator/engine`` for ours, the package for others."""
    path = frame.rpartition("(")[2].rstrip(")")
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("orchestrator", "adapters") else parts[0]


def read_cprofile(path: Path) -> Shares:
    """Summarise the file that cProfile wrote."""
    shares = Shares()
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own, whole, _) in stats.items():
        frame = f"{name} ({short(file)})"
        shares.total += own
        shares.own[frame] += own
        shares.whole[frame] += whole
        shares.modules[module_of(frame)] += own
    return shares


def tables(shares: Shares, cpu_us: float, top: int) -> str:
    """Three tables; the microseconds are shares of what a life took under the watch."""
    parts = []
    for title, counter in (
        ("by module", shares.modules),
        ("by function itself", shares.own),
        ("with callees", shares.whole),
    ):
        rows = [
            f"{value / shares.total:7.1%} {value / shares.total * cpu_us:9.1f} µs  {name}"
            for name, value in counter.most_common(top)
        ]
        parts.append("\n".join([f"── {title}", *rows]))
    return "\n\n".join(parts)


class Watched(Life):
    """The one leg that is profiled."""

    def __init__(self, stage: Stage, leg: str, how: str) -> None:
        super().__init__(stage)
        self.legs = [one for one in self.legs if one.key == leg]
        self._how = how
        self._found = stage.folder / "profile.out"
        if how == "cprofile":
            self.command = (sys.executable, "-c", INSIDE.format(path=str(self._found)))

    async def watch(self, count: int) -> tuple[Shares, float]:
        """
        Profile ``count`` lives of a warm service: where the time went, and CPU microseconds a life.
        """
        leg = self.legs[0]
        await self.start(leg)
        assert leg.service is not None
        spy = py_spy(leg.service.pid, self._found) if self._how == "py-spy" else None
        await self.measure(leg, count)
        cpu_us = self.figures[f"{leg.key}_us"].values[0]
        if spy is None:
            await leg.service.stop()
            return read_cprofile(self._found), cpu_us
        spy.send_signal(signal.SIGINT)
        said = await asyncio.to_thread(spy.communicate, None, WRITE_SECONDS)
        if not self._found.exists():
            raise BenchError(
                f"py-spy wrote nothing: {said[1].decode(errors='replace').strip()[-300:]}"
            )
        return read_stacks(self._found.read_text().splitlines()), cpu_us


def py_spy(pid: int, out: Path) -> subprocess.Popen[bytes]:
    """Sample a process until SIGINT."""
    program = shutil.which("py-spy") or str(Path(sys.executable).parent / "py-spy")
    options = [
        "--pid",
        str(pid),
        "--format",
        "raw",
        "--output",
        str(out),
        "--rate",
        str(SAMPLES_PER_SECOND),
    ]
    return subprocess.Popen(
        [program, "record", *options, "--duration", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def has_py_spy() -> bool:
    return bool(shutil.which("py-spy")) or (Path(sys.executable).parent / "py-spy").exists()


async def profile(leg: str, count: int, top: int, how: str) -> str:
    """The report."""
    with tempfile.TemporaryDirectory(prefix="kaskad-bench-", ignore_cleanup_errors=True) as folder:
        async with Stage(Path(folder), quick=False) as stage:
            shares, cpu_us = await Watched(stage, leg, how).watch(count)
    head = f"{machine_line()}\n{count} lives ({leg}), {cpu_us:.0f} µs CPU each under {how}"
    return f"{head}\n\n{tables(shares, cpu_us, top)}\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench.profile", description="Where the time of a whole life goes."
    )
    parser.add_argument("--leg", choices=LEGS, default=LEGS[0], help="which life")
    parser.add_argument("--count", type=int, default=8000, help="how many lives")
    parser.add_argument("--top", type=int, default=45, help="how many lines each table has")
    parser.add_argument("--out", type=Path, help="a file for the tables, too")
    parser.add_argument(
        "--how", choices=("py-spy", "cprofile"), default="py-spy" if has_py_spy() else "cprofile"
    )
    given = parser.parse_args()
    try:
        text = asyncio.run(profile(given.leg, given.count, given.top, given.how))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if given.out:
        given.out.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
