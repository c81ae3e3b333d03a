"""The verbs that look at people's journeys, end them, and move them to today's version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.common import (
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    how_called,
    print_explanation,
    print_json,
    run_async,
    segment,
    wants_json,
)
from orchestrator.cli.operate import ask

journeys = typer.Typer(help="People's journeys: list, show, end, move.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="The id of a journey: J and a ULID.")]


def register(app: typer.Typer) -> None:
    app.add_typer(journeys, name="journeys")


@journeys.command("list")
def list_journeys(
    recipient: Annotated[
        str | None, typer.Option(help="Of this recipient, phone or mailbox.")
    ] = None,
    journey: Annotated[str | None, typer.Option(help="Only runs of this journey.")] = None,
    status: Annotated[
        str | None,
        typer.Option(help="running, completed, goal_met, exited, expired or failed."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=500)] = 50,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """List journeys, the newest first."""
    as_json = wants_json(output)
    given = {"recipient": recipient, "journey": journey, "status": status, "limit": str(limit)}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    found = ask(config, "GET", f"/api/v1/journeys?{query}")
    if as_json:
        print_json(found)
        return
    if not found["items"]:
        typer.echo("there is no such journey")
        return
    show_list(found["items"])
    if found["next_cursor"]:
        typer.echo(f"… and older ones: --limit shows more than {limit}")


def show_list(items: list[dict[str, Any]]) -> None:
    """A line for each run."""
    from orchestrator.cli.client import table

    rows = [
        [
            one["id"],
            one["created_at"][5:16].replace("T", " "),
            one["journey"],
            one["recipient"],
            one["status"],
            where(one),
        ]
        for one in items
    ]
    table(rows, ["id", "began (UTC)", "journey", "recipient", "status", "step, or why"])


def where(one: dict[str, Any]) -> str:
    """Where a run stands, or why it ended, in a few letters."""
    from orchestrator.explain.journey_words import place_words

    waits = one["waits"]
    return f"{place_words(waits['step'])}: {waits['for']}" if waits else one["reason"] or ""


@journeys.command("show")
def show_journey(
    id: IdArgument, config: ConfigOption = None, output: OutputOption = "text"
) -> None:
    """Show one journey: what it waits for, what happened and why, what it sent."""
    from orchestrator.stores.journey_rows import is_journey

    as_json = wants_json(output)
    if not is_journey(id):
        fail(f"there is no journey {id}: a message is shown by {how_called()} explain", USAGE)
    document = ask(config, "GET", f"/control/explain/{segment(id)}")
    if as_json:
        print_json(document)
    else:
        print_explanation(document)


@journeys.command("exit")
def exit_journey(
    id: IdArgument, config: ConfigOption = None, output: OutputOption = "text"
) -> None:
    """End a journey now. What it has under way is cancelled; nothing more is sent."""
    as_json = wants_json(output)
    found = ask(config, "POST", f"/api/v1/journeys/{segment(id)}/exit")
    if as_json:
        print_json(found)
    else:
        typer.echo(f"ended: {found['journey']} of {found['recipient']}")


@journeys.command("move")
def move_journeys(
    name: Annotated[str, typer.Argument(help="The journey's name.")],
    to: Annotated[str, typer.Option(help="latest: the version in force.")] = "latest",
    condition: Annotated[
        str | None,
        typer.Option("--where", help="Only where this is true, of `recipient` and `journey`."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Move them without asking.")] = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Have those who are on a former version of a journey go on in today's, if they wait at a step
    that both have. Says first how many that are.
    """
    as_json = wants_json(output)
    if to != "latest":
        fail(f"--to takes latest, not {to!r}: older versions are not in force", USAGE)
    found = run_async(moved(config, name, condition, dry_run=True))
    if as_json and not yes:
        print_json(found)
        return
    count, left = len(found["moved"]), len(found["left"])
    if not as_json:
        typer.echo(f"{count:,} of {name} can go on in version {found['version']}")
        if left:
            typer.echo(f"{left:,} stay: they wait at a step that the versions do not share")
    if not count:
        if as_json:
            print_json(found)
        return
    if not yes:
        typer.confirm("Move them?", abort=True)
    found = run_async(moved(config, name, condition, dry_run=False))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"moved: {len(found['moved']):,}; see {how_called()} journeys list")


async def moved(config: Any, name: str, condition: str | None, *, dry_run: bool) -> dict[str, Any]:
    """The answers to all pages in one."""
    whole: dict[str, Any] = {"version": "", "moved": [], "left": []}
    async for page in pages(config, name, condition, dry_run):
        whole["version"] = page["version"]
        whole["moved"] += page["moved"]
        whole["left"] += page["left"]
    return whole


async def pages(
    config: Any, name: str, condition: str | None, dry_run: bool
) -> AsyncIterator[dict[str, Any]]:
    from orchestrator.cli.client import service

    after: str | None = ""
    async with service(find_config(config)) as client:
        while after is not None:
            body: dict[str, Any] = {"dry_run": dry_run}
            body |= {"where": condition} if condition is not None else {}
            body |= {"after": after} if after else {}
            page = await client.call("POST", f"/control/journeys/{segment(name)}/move", body)
            after = page["after"]
            yield page
