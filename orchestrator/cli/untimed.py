"""``kaskad messages untimed``: unfinished messages that no timer looks after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.bulk import asked, each, one_call, print_refusals
from orchestrator.cli.client import Client, service, table
from orchestrator.cli.common import CHECK_FAILED, print_json, run_async, segment
from orchestrator.cli.progress import Advance, progress

SHOWN_MAX = 50


def find_untimed(config: Path, repair: bool, as_json: bool) -> None:
    """
    Look at every unfinished message; with ``repair`` those without a timer get one. Ends the
    program with 1 if any is left as it was.
    """
    results: list[dict[str, Any]] = []
    looked_at = 0

    async def work() -> None:
        nonlocal looked_at
        async with service(config) as client:

            async def one(item: dict[str, Any]) -> None:
                results.append(outcome(item) | (await restore(client, item) if repair else {}))

            with progress("looking at messages") as advance:
                async for page in pages(client, advance):
                    looked_at = page["done"]
                    await each(page["items"], one)

    run_async(work())
    results.sort(key=lambda one: str(one["id"]))
    left = [one for one in results if one["status"] in ("refused", "without_timer")]
    if as_json:
        print_json({"looked_at": looked_at, "items": results})
    else:
        show(results, looked_at, len(results) - len(left))
    raise typer.Exit(CHECK_FAILED if left else 0)


def outcome(item: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "created_at", "policy")
    return {name: item[name] for name in names} | {"status": "without_timer"}


async def restore(client: Client, item: dict[str, Any]) -> dict[str, Any]:
    found = await one_call(client, "POST", f"/control/untimed/{segment(item['id'])}/restore")
    if found.get("status") == "refused":
        return found
    return {"status": "restored" if found["restored"] else "had_ended"}


async def pages(client: Client, advance: Advance) -> AsyncIterator[dict[str, Any]]:
    """The pages of the service, each with how many messages were looked at by then (``done``)."""
    after: str | None = ""
    done = 0
    while after is not None:
        page = await asked(client, "GET", f"/control/untimed?{urlencode({'after': after})}")
        after = page["after"]
        done += page["looked_at"]
        advance(done)
        yield page | {"done": done}


def show(results: list[dict[str, Any]], looked_at: int, repaired: int) -> None:
    if not results:
        typer.echo(f"all {looked_at:,} unfinished message(s) have their timers")
        return
    rows = [
        [one["id"], one["created_at"][5:16].replace("T", " "), one["policy"], one["status"]]
        for one in results[:SHOWN_MAX]
    ]
    table(rows, ["id", "created (UTC)", "policy", "timer"])
    if len(results) > SHOWN_MAX:
        typer.echo(f"… and {len(results) - SHOWN_MAX:,} more: -o json lists them all")
    print_refusals(results)
    typer.echo(f"{len(results):,} of {looked_at:,} had no timer; {repaired:,} repaired")
    if repaired < len(results):
        typer.echo("`kaskad messages untimed --repair` gives them their timers")
