"""
One call to a service that runs: over the control socket beside an embedded store, else at the admin
listener. Unlike ``client.service`` it never stands in for a service that does not run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.common import CHECK_FAILED, NO_CONNECTION, fail

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a listener on all interfaces is reached from this machine."""

UrlOption = Annotated[
    str, typer.Option("--url", help="The admin listener of another process: http://host:9464.")
]


async def ask_running(config: Path, method: str, call: str, url: str) -> tuple[int, Any]:
    """
    The status and JSON of ``/-/<call>`` or ``/control/<call>``; ends the program if nothing runs.
    """
    import aiohttp

    socket, admin = places(config)
    tries: list[tuple[Path | None, str]] = [(None, f"{(url or admin).rstrip('/')}/-/{call}")]
    if socket is not None and socket.exists() and not url:
        tries.insert(0, (socket, f"http://kaskad/control/{call}"))
    for path, address in tries:
        connector = aiohttp.UnixConnector(str(path)) if path is not None else None
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.request(method, address) as answer,
            ):
                text = await answer.read()
                return answer.status, answered(text, address, answer.status)
        except (aiohttp.ClientConnectionError, aiohttp.InvalidURL):
            continue
    fail(
        f"no service answers at {tries[-1][1]}; start it with kaskad run, or name the admin"
        " listener of one with --url",
        NO_CONNECTION,
    )


def answered(text: bytes, address: str, status: int) -> Any:
    """The JSON of an answer; ends the program if it is none of this service's."""
    try:
        return json.loads(text)
    except ValueError:
        fail(f"{address} answered {status}, and not as Kaskad does", CHECK_FAILED)


def places(config: Path) -> tuple[Path | None, str]:
    """
    The control socket and the admin listener that a configuration names. Ends the program with the
    errors of a file of which neither can be read.
    """
    from orchestrator.configuration.reading import Report
    from orchestrator.configuration.settings_file import read_settings
    from orchestrator.configuration.store_settings import socket_path

    report = Report()
    settings = read_settings(config, os.environ, report, secrets=False)
    if settings is None:
        lines = "\n".join(str(problem) for problem in report.problems)
        fail(f"{lines}\nNo service was asked; the one that runs keeps its own.", CHECK_FAILED)
    admin = settings.http.admin
    host = ANYWHERE.get(admin.host, admin.host)
    return socket_path(
        settings.store
    ), f"http://{f'[{host}]' if ':' in host else host}:{admin.port}"
