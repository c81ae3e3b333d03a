"""The verb send: publish an event and, if asked, follow its messages to their end."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    find_config,
    how_called,
    print_explanation,
    print_json,
    read_input,
    run_async,
    segment,
    wants_json,
)

if TYPE_CHECKING:
    from orchestrator.cli.client import Client

FOLLOWED_SECONDS = 60.0
POLL_SECONDS = 0.25


def register(app: typer.Typer) -> None:
    app.command()(send)


def send(
    event: Annotated[
        str,
        typer.Argument(help="A file with one CloudEvent or a batch as JSON; - is standard input."),
    ] = "-",
    new: Annotated[
        bool, typer.Option("--new", help="Give each event a new id, so that it is no repeat.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help=(
                "Wait until its messages have ended (a minute at most), and explain them; of the"
                " journeys that it began, their first messages."
            ),
        ),
    ] = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Publish one event, as POST /v1/events would."""
    as_json = wants_json(output)
    body = read_input(event)
    batch = body.lstrip().startswith(b"[")
    kind = f"application/cloudevents{'-batch' if batch else ''}+json"
    found, stories = run_async(
        publish(
            find_config(config),
            with_new_ids(body) if new else body,
            kind,
            on_result=(lambda result: None) if as_json else show,
            follow=explain,
        )
    )
    if as_json:
        print_json({**found, "explained": stories} if explain else found)
        return
    for story in stories:
        typer.echo("")
        print_explanation(story)
        about = story.get("message") or story["journey"]
        if about["finished_at"] is None:
            id = about["id"]
            typer.echo(f"It has not ended yet; see later: {how_called()} explain {id}", err=True)


def with_new_ids(body: bytes) -> bytes:
    """The same events under other ids; what is no event is left as it is, and refused later."""
    try:
        given = json.loads(body)
    except ValueError:
        return body
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, dict):
            one["id"] = str(uuid.uuid4())
    return json.dumps(given, ensure_ascii=False).encode()


def show(result: dict[str, Any]) -> None:
    """One event's line."""
    if result["status"] == "refused":
        typer.echo(f"refused    {result['error']['what']}")
        return
    typer.echo(f"{result['status']:<10} {result['id']}  {' '.join(made(result))}".rstrip())
    if result["status"] == "duplicate":
        typer.echo("It was taken before and nothing was done; --new sends it under a new id.")


def made(result: dict[str, Any]) -> list[str]:
    """The ids of the messages and the journeys that an event began."""
    return [*result.get("messages", ()), *result.get("journeys", ())]


async def publish(
    config: Path,
    body: bytes,
    kind: str,
    *,
    on_result: Callable[[dict[str, Any]], None],
    follow: bool,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """
    The answer to an event, each result of which goes to ``on_result`` at once, and the explanations
    of its messages and journeys if they are followed.
    """
    from orchestrator.cli.client import service

    async with service(config, must_run=follow) as client:
        found = await client.call("POST", "/api/v1/events", body, kind)
        for result in found["results"]:
            on_result(result)
        ids = [id for one in found["results"] for id in made(one)] if follow else []
        return found, await ended(client, ids)


async def ended(client: Client, ids: list[str]) -> list[dict[str, Any]]:
    """
    The explanations of messages and journeys once nothing of them is under way, or after a minute
    as far as they are. A journey is not waited for while it waits for anything but a message.
    """
    until, waiting = time.monotonic() + FOLLOWED_SECONDS, False
    while True:
        stories = [await client.call("GET", f"/control/explain/{segment(id)}") for id in ids]
        over = all(is_over(story) for story in stories)
        if over or time.monotonic() >= until:
            return stories
        if not waiting:
            typer.echo("waiting for the end, a minute at most …", err=True)
            waiting = True
        await asyncio.sleep(POLL_SECONDS)


def is_over(story: dict[str, Any]) -> bool:
    """Whether there is nothing to wait for."""
    if "journey" in story:
        return not story["journey"]["open_messages"]
    return story["message"]["finished_at"] is not None
