"""The verbs of sends whose outcome is unknown: they may have been taken, and no receipt says so."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from orchestrator.cli.common import (
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    run_async,
    segment,
    wants_json,
)
from orchestrator.cli.operate import ask

unknown = typer.Typer(
    help="Sends whose outcome is unknown: list them, say what became of them.",
    no_args_is_help=True,
)
UNREPORTED = ("created", "queued", "submitted", "accepted")
WHERE = ({"status": "running"}, {"reason": "unknown_outcome"})
"""The lists in which such sends are: of messages under way, and of those that ended so."""


def register(app: typer.Typer) -> None:
    app.add_typer(unknown, name="unknown")


@unknown.command("list")
def unknown_list(
    provider: Annotated[str | None, typer.Option(help="Only at this provider.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Of messages created so long ago at most (2h), or since.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Of messages under way, and of those that ended for it: message, provider, age."""
    from orchestrator.cli.bulk import instant, listed
    from orchestrator.cli.client import service, table

    as_json, begin = wants_json(output), instant(since, "--since")

    async def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with service(find_config(config)) as client:
            for where in WHERE:
                async for page in listed(client, "/api/v1/messages", {**where, "since": begin}):
                    found += [one for item in page for one in unknown_of(item)]
        return [one for one in found if provider in (None, one["provider"])]

    items = run_async(work())
    if as_json:
        print_json(items)
    elif not items:
        typer.echo("no outcome is unknown")
    else:
        headings = ["message", "attempt", "provider", "status", "age"]
        table([[str(one[name]) for name in headings] for one in items], headings)


def unknown_of(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts of a message whose outcome is unknown and of which no receipt has spoken."""
    return [
        {
            "message": item["id"],
            "attempt": attempt["number"],
            "provider": attempt["provider"],
            "status": item["status"],
            "age": age(attempt["times"]["intent"]),
            "at": attempt["times"]["intent"],
        }
        for attempt in item["attempts"]
        if attempt["outcome"] == "unknown"
        and attempt["state"] in UNREPORTED
        and not attempt["engagement"]
    ]


def age(at: str) -> str:
    from orchestrator.primitives.durations import duration

    return duration(max(0, int((time.time() - datetime.fromisoformat(at).timestamp()) * 1000)))


@unknown.command("resolve")
def unknown_resolve(
    message: Annotated[str, typer.Argument(help="The message's id.")],
    attempt: Annotated[int, typer.Argument(min=0, help="The attempt's number, from the list.")],
    delivered: Annotated[
        bool | None,
        typer.Option("--delivered/--not-delivered", help="What the provider's console says."),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Say what became of a send, as its receipt would have."""
    as_json = wants_json(output)
    if delivered is None:
        fail("say which: --delivered or --not-delivered", USAGE)
    path = f"/api/v1/messages/{segment(message)}/attempts/{attempt}/resolve"
    found = ask(config, "POST", path, {"delivered": delivered})
    if as_json:
        print_json(found)
    else:
        word = "delivered" if delivered else "not delivered"
        typer.echo(f"attempt {attempt} was {word}; the message is now {found['status']}")
