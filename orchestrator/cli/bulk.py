"""
Verbs that work through many items: pages of a list, several calls at once, progress, a summary.

Each call is one small transaction that does nothing the second time. So a verb that was stopped is
run again, and goes on where it ended.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import typer

from orchestrator.cli.client import Client, service, words
from orchestrator.cli.common import (
    CHECK_FAILED,
    NO_CONNECTION,
    USAGE,
    fail,
    print_json,
    run_async,
    wants_json,
)
from orchestrator.primitives.durations import parse_duration, rfc3339

PAGE = 1_000
AT_ONCE = 8
"""A quarter of the connections of the control socket."""
BUSY_TRIES = 60
BUSY_SECONDS = 1.0
LOST_TRIES = 3
PROGRESS_SECONDS = 2.0


def instant(given: str | None, option: str) -> str | None:
    """``2h`` (ago) or an RFC 3339 time, as a time."""
    if given is None or "T" in given:
        return given
    ago = parse_duration(given)
    if ago is None:
        fail(
            f"{option} takes a duration (30m, 2h, 7d: so long ago) or an RFC 3339 time, not"
            f" {given!r}",
            USAGE,
        )
    return rfc3339(int(time.time() * 1000) - ago)


async def listed(
    client: Client,
    path: str,
    filters: Mapping[str, str | None],
    most: int | None = None,
    size: int = PAGE,
) -> AsyncIterator[list[dict[str, Any]]]:
    """The pages of a list, the newest first; ``most`` items in all, ``size`` a page."""
    query = {name: value for name, value in filters.items() if value is not None}
    cursor, left = None, most
    while left is None or left > 0:
        wanted = size if left is None else min(size, left)
        paging = {"limit": str(wanted)} | ({"cursor": cursor} if cursor else {})
        found = await asked(client, "GET", f"{path}?{urlencode(query | paging)}")
        yield found["items"]
        cursor = found["next_cursor"]
        if cursor is None:
            return
        left = None if left is None else left - len(found["items"])


async def asked(client: Client, method: str, path: str, body: Any = None) -> Any:
    """The answer of a service that may be busy for a while. Any other refusal ends the program."""
    status, found = await insist(client, method, path, body)
    if status >= 400:
        fail(words(found, status), CHECK_FAILED)
    return found


async def insist(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """
    The status and the answer. A call does nothing the second time, so as long as the service is
    busy or does not answer it is asked again.
    """
    why = ""
    for tries in range(BUSY_TRIES):
        try:
            status, found = await client.ask(method, path, body)
        except aiohttp.ClientError as error:
            why = f"the service went away while it was asked: {error}"
            if tries >= LOST_TRIES:
                break
        else:
            if status not in (429, 503):
                return status, found
            why = words(found, status)
        await asyncio.sleep(BUSY_SECONDS)
    fail(f"{why}\nrun the same command again: it goes on where it ended", NO_CONNECTION)


class Outcomes:
    """What became of the items of one run, with progress on standard error."""

    def __init__(self, doing: str) -> None:
        self.counts: Counter[str] = Counter()
        self.results: list[dict[str, Any]] = []
        self._doing = doing
        self._shown_at = time.monotonic()
        self._shown = False

    def add(self, id: str, status: str, **more: Any) -> None:
        self.counts[status] += 1
        self.results.append({"id": id, "status": status, **more})
        if time.monotonic() - self._shown_at >= PROGRESS_SECONDS:
            self._shown_at = time.monotonic()
            terminal = sys.stderr.isatty()
            line = f"{self._doing}: {counted(self.counts)}"
            typer.echo(f"\r{line}\x1b[K" if terminal else line, err=True, nl=not terminal)
            self._shown = terminal

    def end(self) -> None:
        """End the line of the progress."""
        if self._shown:
            typer.echo(err=True)


def counted(counts: Mapping[str, int]) -> str:
    """``9 998 started, 2 already retried``."""
    found = [f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items()]
    return ", ".join(found) or "nothing to do"


async def each(
    items: list[dict[str, Any]], work: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Do the work for each item, several at once."""
    for start in range(0, len(items), AT_ONCE):
        await asyncio.gather(*(work(item) for item in items[start : start + AT_ONCE]))


def print_refusals(results: list[dict[str, Any]]) -> None:
    """Each kind of refusal once, with how many there were and one of them."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in results:
        if one["status"] == "refused":
            groups.setdefault(one["code"], []).append(one)
    for code, refused in groups.items():
        more = f" ({len(refused):,} such)" if len(refused) > 1 else ""
        typer.echo(f"refused, {code}: {refused[0]['what']}{more}", err=True)


async def one_call(client: Client, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """The answer to a call; a refusal has the status ``refused``, its code and its words."""
    status, found = await insist(client, method, path, body)
    if status >= 400:
        code = found.get("code", str(status)) if isinstance(found, dict) else str(status)
        return {"status": "refused", "code": code, "what": words(found, status)}
    answer: dict[str, Any] = found
    return answer


def in_bulk(
    config: Path,
    output: str,
    pages: Callable[[Client], AsyncIterator[list[dict[str, Any]]]],
    doing: str,
    act: Callable[[Client, dict[str, Any]], Awaitable[dict[str, Any]]],
) -> None:
    """Do something with every item of the pages, and say what became of them."""
    as_json, outcomes = wants_json(output), Outcomes(doing)

    async def work() -> None:
        async with service(config) as client:

            async def one(item: dict[str, Any]) -> None:
                outcomes.add(item["id"], **await act(client, item))

            async for page in pages(client):
                await each(page, one)

    try:
        run_async(work())
    finally:
        outcomes.end()
    if as_json:
        print_json({"counts": outcomes.counts, "items": outcomes.results})
    else:
        typer.echo(counted(outcomes.counts))
    if outcomes.counts["refused"]:
        print_refusals(outcomes.results)
        raise typer.Exit(CHECK_FAILED)
