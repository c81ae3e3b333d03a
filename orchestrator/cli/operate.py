"""The verbs of those who operate: explain, optout, subject, keys."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.common import (
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_explanation,
    print_json,
    run_async,
    segment,
    wants_json,
)

keys = typer.Typer(
    help="API keys, and the signing key of links and references.", no_args_is_help=True
)
subject = typer.Typer(help="What is known of a person: export it, erase it.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="Its id.")]
WhoArgument = Annotated[
    str, typer.Argument(help="A recipient's id, or an address (+380…, name@example.com).")
]


def register(app: typer.Typer) -> None:
    app.command()(explain)
    app.command()(optout)
    app.add_typer(keys, name="keys")
    app.add_typer(subject, name="subject")


def ask(
    config: Path | None,
    method: str,
    path: str,
    body: Any = None,
    content_type: str = "application/json",
) -> Any:
    """One call to the service, or to the store where nothing is running."""
    from orchestrator.cli.client import service

    async def work() -> Any:
        async with service(find_config(config)) as client:
            return await client.call(method, path, body, content_type)

    return run_async(work())


def explain(
    message: Annotated[str, typer.Argument(help="The message's id, finished or not.")],
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
    had to be different.
    """
    if output not in ("text", "json", "html"):
        fail(f"-o takes text, json or html, not {output!r}", USAGE)
    document = ask(config, "GET", f"/control/explain/{segment(message)}")
    if output == "text" and out is None and sys.stdout.isatty():
        print_explanation(document, policy)
        return
    text = explained(document, output, policy)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{out}: {error.strerror}", USAGE)


def explained(document: dict[str, Any], output: str, policy: bool) -> str:
    """An explanation in the format that was asked for."""
    from orchestrator.explain import as_page, as_text

    if output == "html":
        return as_page(document)
    if output == "json":
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return as_text(document, policy)


def optout(
    who: Annotated[
        str, typer.Argument(help="An address (+380…, name@example.com), or a recipient's id.")
    ],
    id: Annotated[
        bool, typer.Option("--id", help="It is a recipient's id, whatever it looks like.")
    ] = False,
    channel: Annotated[str, typer.Option(help="The channel, or * for all.")] = "*",
    topic: Annotated[str, typer.Option(help="The topic, or * for all.")] = "*",
    config: ConfigOption = None,
) -> None:
    """Stop writing to somebody: everywhere, on a channel, about a topic."""
    from orchestrator.channels.registry import looks_like_address

    place = "address" if looks_like_address(who) and not id else "recipient"
    entry = {place: who, "channel": channel, "topic": topic}
    [result] = ask(config, "POST", "/api/v1/opt-outs", {"opt_outs": [entry]})["results"]
    typer.echo(f"{place} {result[place]} is opted out of {channel} × {topic}")
    if place == "recipient" and not result["found"]:
        typer.echo("no such recipient is known yet; it is kept for when one turns up")
    elif place == "address":
        known = ", ".join(result["found"]) or "nobody yet; it is kept for all who have it"
        typer.echo(f"known there: {known}")


@keys.command("create")
def keys_create(
    scope: Annotated[
        str,
        typer.Option(
            help="Comma-separated: events, messages, recipients, inbox, dead_letters, pauses, all."
        ),
    ],
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """A new API key, shown once."""
    found = ask(
        config,
        "POST",
        "/control/keys",
        {"scopes": [part.strip() for part in scope.split(",") if part.strip()]},
    )
    if wants_json(output):
        print_json(found)
    else:
        typer.echo(f"id   {found['id']}\nkey  {found['key']}\nIt is not shown again.")


@keys.command("list")
def keys_list(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """All keys; never their secrets."""
    from orchestrator.cli.client import table
    from orchestrator.primitives.durations import rfc3339

    items = ask(config, "GET", "/control/keys")["items"]
    if wants_json(output):
        print_json(items)
        return
    rows = [
        [
            i["id"],
            ",".join(i["scopes"]),
            rfc3339(i["created_at"]),
            "revoked" if i["revoked_at"] else "",
        ]
        for i in items
    ]
    table(rows, ["id", "scopes", "created", ""])


@keys.command("revoke")
def keys_revoke(id: IdArgument, config: ConfigOption = None) -> None:
    """Stop accepting a key at once."""
    ask(config, "POST", f"/control/keys/{segment(id)}/revoke")
    typer.echo(f"revoked {id}")


@keys.command("rotate")
def keys_rotate(config: ConfigOption = None) -> None:
    """A new signing key for links and references; the old one verifies for 400 more days."""
    ask(config, "POST", "/control/signing-key/rotate")
    typer.echo("a new signing key signs from now on")


@subject.command("export")
def subject_export(id: WhoArgument, config: ConfigOption = None) -> None:
    """Everything that is kept about a recipient, as JSON."""
    print_json(ask(config, "GET", f"/api/v1/recipients/{segment(id)}/export"))


@subject.command("erase")
def subject_erase(
    id: WhoArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: this cannot be undone.")] = False,
    config: ConfigOption = None,
) -> None:
    """
    Forget a recipient; hashes of opted-out addresses stay, so that nobody writes to them again.
    """
    if not yes:
        fail("this cannot be undone: say --yes", USAGE)
    ask(config, "DELETE", f"/api/v1/recipients/{segment(id)}")
    typer.echo(f"erased {id}")
