"""``kaskad explain``: why a message went where it went, found by whatever is known of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.common import (
    USAGE,
    ConfigOption,
    fail,
    find_config,
    how_called,
    print_explanation,
    print_json,
    run_async,
    segment,
)

if TYPE_CHECKING:
    from orchestrator.cli.client import Client


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    what: Annotated[
        str | None,
        typer.Argument(
            help=(
                "The id of a message or a journey, an event as source/id, a recipient's id, a phone"
                " or a mailbox."
            )
        ),
    ] = None,
    event: Annotated[str | None, typer.Option(help="It is an event, as source/id.")] = None,
    recipient: Annotated[
        str | None, typer.Option(help="It is a recipient's id, a phone or a mailbox.")
    ] = None,
    provider_id: Annotated[
        str | None, typer.Option(help="It is the id that a provider gave to a message.")
    ] = None,
    policy: Annotated[
        bool, typer.Option("--policy/--no-policy", help="With the policy's text at that time.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to this file instead.")
    ] = None,
    config: ConfigOption = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text, json or html.")] = "text",
) -> None:
    """
    Why a message went where it went: every fact, check, attempt and receipt, and what would have
    had to be different. Of a person it explains the newest message, and lists the others.
    """
    if output not in ("text", "json", "html"):
        fail(f"-o takes text, json or html, not {output!r}", USAGE)
    given = {"": what, "event": event, "recipient": recipient, "provider_id": provider_id}
    asked = {way: text for way, text in given.items() if text is not None}
    if len(asked) != 1:
        fail("say one of: WHAT, --event, --recipient, --provider-id", USAGE)
    [(way, text)] = asked.items()
    found, document = run_async(gather(find_config(config), text, way))
    if document is None:
        show_list(found, output, "messages; explain one of them")
        show_journeys(found, output)
        return
    others = {**found, "items": found["items"][1:]}
    if not found["items"]:
        others["journeys"] = found["journeys"][1:]  # the first one is explained
    if output == "json" and others["items"]:
        document["others"] = others["items"]
    if output == "json" and others["journeys"]:
        document["journeys"] = others["journeys"]
    if output == "text" and out is None and sys.stdout.isatty():
        print_explanation(document, policy)
    else:
        write(explained(document, output, policy), out)
    if output == "text" and out is None and others["items"]:
        typer.echo()
        show_list(others, output, "other messages, the newest first")
    if output == "text" and out is None:
        show_journeys(others, output)


async def gather(config: Path, text: str, way: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """
    What was found, and the explanation of the newest message; None if the event has several, of
    which none is meant more than another.
    """
    from orchestrator.cli.client import service

    query = urlencode({"text": text, **({"by": way} if way else {})})
    async with service(config) as client:
        found = await client.call("GET", f"/control/find?{query}")
        several = len(found["items"]) > 1
        if several and found["by"] != "recipient":
            return found, None
        newest = (found["items"] or found["journeys"])[0]
        return found, await explanation(client, newest["id"])


async def explanation(client: Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = await client.call("GET", f"/control/explain/{segment(id)}")
    return found


def show_list(found: dict[str, Any], output: str, heading: str) -> None:
    """Messages, a line each."""
    from orchestrator.cli.client import table

    items = found["items"]
    if output == "json":
        print_json({"messages": items, "more": found["more"]})
        return
    count = f"more than {len(items)}" if found["more"] else str(len(items))
    typer.echo(f"{count} {heading}: {how_called()} explain ID")
    names = ["id", "accepted", "policy", "status", "recipient"]
    rows = [
        [one["id"], one["created_at"][:19] + "Z", one["policy"], one["status"], one["recipient"]]
        for one in items
    ]
    if len({row[-1] for row in rows}) == 1:
        rows, names = [row[:-1] for row in rows], names[:-1]
    table(rows, names)


def show_journeys(found: dict[str, Any], output: str) -> None:
    """The journeys that belong to what was found, a line each."""
    from orchestrator.cli.journeys import show_list as show_runs

    if found["journeys"] and output == "text":
        typer.echo()
        typer.echo(
            f"journeys, the newest first ({len(found['journeys'])}): {how_called()} explain ID"
        )
        show_runs(found["journeys"])


def explained(document: dict[str, Any], output: str, policy: bool) -> str:
    """An explanation in the format that was asked for."""
    from orchestrator.explain import as_page, as_text

    if output == "html":
        return as_page(document)
    if output == "json":
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return as_text(document, policy)


def write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{out}: {error.strerror}", USAGE)
