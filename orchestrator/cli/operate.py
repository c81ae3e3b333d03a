"""The verbs of those who operate: optout, subject, keys."""

from __future__ import annotations

import textwrap
from pathlib import Path
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

keys = typer.Typer(
    help="API keys, and the signing key of links and references.", no_args_is_help=True
)
subject = typer.Typer(help="What is known of a person: export it, erase it.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="Its id.")]
WhoArgument = Annotated[
    str, typer.Argument(help="A recipient's id, or an address (+380…, name@example.com).")
]


def register(app: typer.Typer) -> None:
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
            help=(
                "Comma-separated: events, messages, recipients, inbox, dead_letters, pauses,"
                " codes, audit, all."
            )
        ),
    ],
    name: Annotated[str, typer.Option(help="Whose it is: shop. The audit log shows it.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="How long it is good: 90d. For ever without it.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Its requests: 600/1m. Else http.key_rate holds.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """A new API key, shown once."""
    body: dict[str, Any] = {"scopes": [part.strip() for part in scope.split(",") if part.strip()]}
    given = {"name": name or None, "expires_in": expires, "rate": rate}
    body |= {field: value for field, value in given.items() if value is not None}
    found = ask(config, "POST", "/control/keys", body)
    if wants_json(output):
        print_json(found)
    else:
        typer.echo(f"id   {found['id']}\nkey  {found['key']}\nIt is not shown again.")


@keys.command("list")
def keys_list(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """All keys with their last use (exact to a minute); never their secrets."""
    from orchestrator.cli.client import table

    items = ask(config, "GET", "/control/keys")["items"]
    if wants_json(output):
        print_json(items)
        return
    rows = [
        [i["id"], i["name"], ",".join(i["scopes"]), until(i), day(i["used_at"], "never")]
        for i in items
    ]
    table(rows, ["id", "name", "scopes", "until", "used"])


def until(key: dict[str, Any]) -> str:
    """How long a key is good."""
    return "revoked" if key["revoked_at"] else day(key["expires_at"], "for ever")


def day(at: int | None, otherwise: str) -> str:
    from orchestrator.primitives.durations import rfc3339

    return otherwise if at is None else rfc3339(at)[:10]


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
    """Everything that is kept about a recipient, as JSON; what would outlive an erasure is said."""
    print_json(ask(config, "GET", f"/api/v1/recipients/{segment(id)}/export"))
    say_remains("All of it goes with `kaskad subject erase`, but for this:", err=True)


@subject.command("erase")
def subject_erase(
    id: WhoArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: this cannot be undone.")] = False,
    config: ConfigOption = None,
) -> None:
    """
    Forget a recipient, and say what remains and why: hashes of opted-out addresses, for example, so
    that nobody writes to them again.
    """
    if not yes:
        fail("this cannot be undone: say --yes", USAGE)
    ask(config, "DELETE", f"/api/v1/recipients/{segment(id)}")
    typer.echo(f"erased {id}")
    say_remains("What remains, and why:")


def say_remains(heading: str, err: bool = False) -> None:
    """What an erasure leaves, a paragraph each."""
    from orchestrator.recipients.remains import REMAINS

    typer.echo(heading, err=err)
    for one in REMAINS:
        text = f"{one.what.replace('`', '')}: {one.why}; {one.kept.replace('`', '')}"
        lines = textwrap.wrap(text, 76, initial_indent="* ", subsequent_indent="  ")
        typer.echo("\n".join(lines), err=err)
