"""What the reports say was counted, for a comparison with what is stored."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.verify.chaos import tours
from tests.verify.chaos.processes import ROOT, RUN

TRIES, AGAIN_SECONDS = 5, 2.0
VERIFY_SECONDS = 120
Get = Callable[[str], Awaitable[Any]]
"""The JSON of a path of the API."""


@dataclass(frozen=True, slots=True)
class Counted:
    """
    ``verified`` is what ``kaskad report --verify`` says, ``journeys`` the sums of the journey's
    report by status, ``people`` those of the experiment's by arm.
    """

    verified: dict[str, Any]
    journeys: Counter[str]
    people: dict[str, int]


async def counted(config: Path, get: Get) -> Counted:
    """What is counted once nothing is counted any more: a late receipt may still move a sum."""
    for _ in range(TRIES):
        verified = await asyncio.to_thread(verify, config)
        if not verified["busy"]:
            break
        await asyncio.sleep(AGAIN_SECONDS)
    journeys: Counter[str] = Counter()
    for row in rows_of(await get(f"/v1/reports/journeys/{tours.JOURNEY}")):
        known = ("version", "stage", "entered")
        journeys.update({name: value for name, value in row.items() if name not in known})
    arms = rows_of(await get(f"/v1/reports/experiments/{tours.EXPERIMENT}"))
    return Counted(verified, journeys, {row["arm"]: row["people"] for row in arms})


def verify(config: Path) -> dict[str, Any]:
    """The program's own words. Its exit code says the same as its answer."""
    arguments = ["report", "--verify", "-o", "json", "--config", str(config)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=VERIFY_SECONDS,
        check=False,
    )
    assert done.stdout.strip(), f"kaskad report --verify: {done.returncode}, {done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode != 0) == bool(found["differences"]), (done.returncode, found)
    return found


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The first table of a report, each row by the names of its columns."""
    table = report["tables"][0]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]
