"""The verbs that hold back a provider, a channel or a policy, and let it go again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, print_json, segment, wants_json
from orchestrator.cli.operate import ask

KindArgument = Annotated[str, typer.Argument(help="provider, channel or policy.")]
NameArgument = Annotated[str, typer.Argument(help="Its name in the configuration.")]


def register(app: typer.Typer) -> None:
    app.command()(pause)
    app.command()(resume)


def pause(
    kind: Annotated[
        str | None, typer.Argument(help="provider, channel or policy; without it, list pauses.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Its name in the configuration.")] = None,
    lasts: Annotated[
        str | None, typer.Option("--for", help="30m, 2h, 1d; else until it is resumed.")
    ] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, for other people.")] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Hold back everything of a provider, a channel or a policy. Nothing is dropped, and when the verb
    returns nothing leaves any more.
    """
    as_json = wants_json(output)
    if kind is None or name is None:
        if kind is not None:
            raise typer.BadParameter(f"which {kind}? Say its name", param_hint="NAME")
        show(ask(config, "GET", "/api/v1/pauses")["items"], as_json)
        return
    body = {"why": why} if lasts is None else {"for": lasts, "why": why}
    found = ask(config, "PUT", path_of(kind, name), body)
    if as_json:
        print_json(found)
    else:
        typer.echo(f"paused: {sentence(found)}")
        typer.echo(f"It leaves again with: kaskad resume {kind} {name}")


def resume(
    kind: KindArgument,
    name: NameArgument,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Let what was paused leave again, at the providers' rates."""
    as_json = wants_json(output)
    found = ask(config, "DELETE", path_of(kind, name))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"resumed: {kind} {name}")


def show(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(items)
    elif not items:
        typer.echo("nothing is paused")
    for item in () if as_json else items:
        typer.echo(sentence(item))


def sentence(found: dict[str, Any]) -> str:
    end = f"until {found['until']}" if found["until"] else "until it is resumed"
    why = f": {found['why']}" if found["why"] else ""
    return f"{found['kind']} {found['name']}, since {found['at']}, {end}{why}"


def path_of(kind: str, name: str) -> str:
    return f"/api/v1/pauses/{segment(kind)}/{segment(name)}"
