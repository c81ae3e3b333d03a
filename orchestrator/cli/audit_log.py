"""The verbs of the audit log: audit list, audit verify."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    ConfigOption,
    OutputOption,
    fail,
    print_json,
    wants_json,
)

audit = typer.Typer(help="Who changed what, and who looked at personal data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


@audit.command("list")
def audit_list(
    actor: Annotated[str, typer.Option(help="Only this one: key:shop, user:olena.")] = "",
    action: Annotated[str, typer.Option(help="Only this: pause.started.")] = "",
    recipient: Annotated[
        str, typer.Option(help="Only what concerns this recipient: an id or an address.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="Since so long ago (2h), or since a time (RFC 3339).")
    ] = "",
    until: Annotated[
        str, typer.Option(help="Before then: so long ago, or a time (RFC 3339).")
    ] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1_000)] = 50,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """The newest first. People are in it as keyed hashes, which `--recipient` finds."""
    from orchestrator.cli.operate import ask

    as_json = wants_json(output)
    given = {"actor": actor, "action": action, "recipient": recipient}
    given |= {"since": instant(since, "--since"), "until": instant(until, "--until")}
    query = urlencode({name: value for name, value in given.items() if value})
    items = ask(config, "GET", f"/api/v1/audit?limit={limit}&{query}".rstrip("&"))["items"]
    if as_json:
        print_json(items)
        return
    for item in items:
        details = " ".join(f"{name}={shown(value)}" for name, value in item["details"].items())
        typer.echo(f"{item['at'][:19]}Z  {item['actor']}  {item['action']}")
        typer.echo(f"  {item['sequence']}  {item['subject']} {details}".rstrip())
    if not items:
        typer.echo("nothing is in the log that fits")


def instant(text: str, option: str) -> str:
    """A time, or so long ago, as RFC 3339."""
    import time

    from orchestrator.primitives.durations import parse_duration, rfc3339

    ago = parse_duration(text)
    if ago is not None:
        return rfc3339(time.time_ns() // 1_000_000 - ago)
    if text and "T" not in text:
        raise typer.BadParameter("write 2h or 2026-11-30T08:00:00Z", param_hint=option)
    return text


def shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@audit.command("verify")
def audit_verify(
    expected: Annotated[
        str, typer.Option("--expect", help="A head that this verb has printed before: 42:9f86…")
    ] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Read the whole log and check that no entry was changed, left out or put in. Exit code 1 if one
    was.
    """
    from orchestrator.cli.operate import ask

    as_json = wants_json(output)
    query = f"?{urlencode({'expected': expected})}" if expected else ""
    found = ask(config, "GET", f"/control/audit/verification{query}")
    good = not found["broken"] and found["expected_found"] is not False
    if as_json:
        print_json(found)
    else:
        say(found, expected)
    raise typer.Exit(0 if good else CHECK_FAILED)


def say(found: dict[str, Any], expected: str) -> None:
    if found["broken"]:
        fail(f"the log is broken: {found['broken']}; before that, {found['entries']} hold", 1)
    if found["head"] is None:
        typer.echo("the log is empty")
    else:
        typer.echo(f"{found['entries']} entries since {found['since']}: the chain holds")
        typer.echo(f"head {found['head']}")
    if found["expected_found"] is False:
        fail(f"entry {expected.partition(':')[0]} is not there as it was: the log was rewritten", 1)
    typer.echo("Keep the head elsewhere: with --expect it shows that no older entry was rewritten.")
