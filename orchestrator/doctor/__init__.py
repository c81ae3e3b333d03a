"""
Is this environment fit to run Kaskad? Tries everything outside its own files that a configuration
relies on.

    examine(path, env, processes) ──► [Finding, …]   what, where, the result, and how to fix it

    configuration ─┬─► store       SQLite: its folder and disk
                   │               PostgreSQL: its settings, clock, locks, commit time
                   ├─► kafka       reachable, topics, partitions, how long they keep events
                   ├─► providers   every host resolves and its TLS handshake succeeds
                   └─► process     ports, file descriptors, time zones, secrets and their files

Nothing is changed and nothing is sent: probes write a temporary file beside an embedded store, and
one empty record in PostgreSQL's log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path

from orchestrator.check.judge import judge
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings import Settings
from orchestrator.configuration.settings_file import read_settings
from orchestrator.doctor.brokers import look_at_kafka
from orchestrator.doctor.embedded import look_at_sqlite
from orchestrator.doctor.findings import Finding, Result, Subject
from orchestrator.doctor.machine import look_at_machine
from orchestrator.doctor.outside import look_at_http, look_at_providers
from orchestrator.doctor.postgres import look_at_postgres

__all__ = ["Finding", "Result", "examine"]

AREA_SECONDS_MAX = 30.0


async def examine(path: Path, env: Mapping[str, str], processes: int = 1) -> list[Finding]:
    """
    Examine everything; never raises for what it finds.

    ``processes`` is how many Kaskad processes will share the store and the Kafka group. If the
    configuration cannot be read at all, its problems are the only findings.
    """
    found = look_at_configuration(path, env)
    settings = read_settings(path, env, Report())
    if settings is None:
        return found
    areas: dict[str, Awaitable[list[Finding]]] = {
        "store": look_at_store(settings, processes),
        "kafka": look_at_kafka(settings, processes),
        "providers": look_at_providers(settings),
        "http": look_at_http(settings),
        "process": look_at_machine(settings),
    }
    parts = await asyncio.gather(*(in_time(area, looking) for area, looking in areas.items()))
    return found + [finding for part in parts for finding in part]


def look_at_configuration(path: Path, env: Mapping[str, str]) -> list[Finding]:
    """The problems that ``kaskad check`` reports, as findings."""
    found = []
    for problem in judge(path, env).problems:
        at = Subject("configuration", f"{problem.path}:{problem.line}:{problem.column}")
        make = at.error if problem.severity == "error" else at.warning
        found.append(make("check", problem.what, problem.fix))
    return found or [Subject("configuration", str(path)).fine("check", "everything is in order")]


async def look_at_store(settings: Settings, processes: int) -> list[Finding]:
    """The store that the configuration names."""
    if settings.store.kind == "postgresql":
        return await look_at_postgres(settings, processes)
    return await asyncio.to_thread(look_at_sqlite, settings, processes)


async def in_time(area: str, looking: Awaitable[list[Finding]]) -> list[Finding]:
    """One area's findings; an area that takes too long, or breaks, is a finding itself."""
    at = Subject(area, area)
    try:
        return await asyncio.wait_for(looking, AREA_SECONDS_MAX)
    except TimeoutError:
        what = f"no answer within {AREA_SECONDS_MAX:.0f} s"
        fix = "look for a firewall that drops packets, or a server that hangs"
        return [at.unreachable("time", what, fix)]
    except Exception as problem:
        # only its type: its text may hold what the configuration keeps secret
        what = f"this could not be examined: {type(problem).__name__}"
        fix = "look at the other findings first; if it stays, report it as a bug"
        return [at.error("look", what, fix)]
