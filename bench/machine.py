"""Describe this machine and the resources a process has used. Linux only: it reads /proc."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
UTIME, STIME, CUTIME, CSTIME = 11, 12, 13, 14
"""Fields of /proc/PID/stat behind the command's closing bracket (proc(5) numbers them 14 to 17)."""


def cpu_seconds(pid: int) -> float:
    """
    User and system time of a process and of the children it has waited for. Raises
    ``ProcessLookupError``.
    """
    fields = stat_fields(pid)
    return sum(int(fields[place]) for place in (UTIME, STIME, CUTIME, CSTIME)) / TICKS_PER_SECOND


def family_cpu_seconds(pid: int) -> float:
    """The same with its living children, for servers that fork."""
    total = cpu_seconds(pid)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if int(stat_fields(int(folder.name))[1]) == pid:
                    total += cpu_seconds(int(folder.name))
            except ProcessLookupError:
                continue
    return total


def stat_fields(pid: int) -> list[str]:
    """The fields behind the command, which may hold spaces and brackets itself."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"process {pid} has ended") from error


def rss_bytes(pid: int) -> int:
    """The resident memory of a process now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Neighbours:
    """
    The share of the machine that other processes have used since this was made: all but this
    process and its children.
    """

    def __init__(self) -> None:
        self._busy, self._all = jiffies()
        self._ours = own_ticks()

    def share(self) -> float:
        """Between 0 and 1. Children count once they have been waited for."""
        busy, every = jiffies()
        others = (busy - self._busy) - (own_ticks() - self._ours)
        return max(0.0, others) / max(1, every - self._all)


def jiffies() -> tuple[int, int]:
    """Ticks that the processors were busy, and all of them; stolen time counts as busy."""
    fields = [int(field) for field in lines("/proc/stat")[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def own_ticks() -> float:
    return sum(os.times()[:4]) * TICKS_PER_SECOND


def machine_line() -> str:
    """Cores, processor, memory, kernel, load, and the versions that matter, in one line."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in lines("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        "?",
    )
    memory = next(
        (int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    libraries = " ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "orjson"))
    return (
        f"{os.cpu_count()} cores {cpu}, {memory / 2**20:.0f} GiB, Linux {platform.release()}, load"
        f" {os.getloadavg()[0]:.1f}; Python {sys.version.split()[0]}, SQLite"
        f" {sqlite3.sqlite_version}, {libraries}"
    )


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
