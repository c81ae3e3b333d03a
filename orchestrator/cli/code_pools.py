"""The verbs about pools of codes: importing a file of them, how many are left, where one went."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    ConfigOption,
    OutputOption,
    find_config,
    print_json,
    run_async,
    wants_json,
)

codes = typer.Typer(
    help="Pools of codes, of which messages get one each: docs/codes.md.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(codes, name="codes")


@codes.command("import")
def codes_import(
    file: Annotated[str, typer.Argument(help="One code a line, or a CSV file; - is stdin.")],
    pool: Annotated[str, typer.Option("--pool", help="The pool that they go into.")],
    refused: Annotated[
        Path | None,
        typer.Option(
            "--refused",
            help="Where refused lines go, with their reasons; by default FILE.refused.csv.",
        ),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Add the codes of a file to a pool: one a line, or the column `code` of a CSV file. Doubles and
    bad lines go to a file of their own. One that was stopped goes on where it ended.
    """
    from orchestrator.cli.code_files import import_codes
    from orchestrator.cli.importing import importing

    as_json = wants_json(output)
    path = find_config(config)
    with importing(file, "codes", refused) as (source, kept):
        done = run_async(import_codes(path, source, pool, kept))
    if as_json:
        print_json(done)
    else:
        typer.echo(f"recorded: {done['recorded']:,} codes in the pool {pool}")
        if done["known"]:
            typer.echo(f"known: {done['known']:,} that this file had brought before")
        if done["refused"]:
            typer.echo(f"refused: {done['refused']:,}; the lines and why are in {kept}")
        if not done["policies"]:
            typer.echo(f"no policy gives codes of it yet: codes: {{code: {pool}}}", err=True)
    if done["refused"]:
        raise typer.Exit(CHECK_FAILED)


@codes.command("list")
def codes_list(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """The pools: how many codes each has, how many are left, and which policies give them."""
    from orchestrator.cli.client import table
    from orchestrator.cli.operate import ask

    as_json = wants_json(output)
    items = ask(config, "GET", "/api/v1/codes")["items"]
    if as_json:
        print_json(items)
    elif not items:
        typer.echo("there are no pools; fill one: kaskad codes import FILE --pool NAME")
    else:
        headings = ["pool", "free", "taken", "imported", "policies"]
        table([row_of(item) for item in items], headings)


def row_of(item: dict[str, Any]) -> list[str]:
    left = f" ({100 * item['free'] / item['imported']:.0f} %)" if item["imported"] else ""
    policies = ", ".join(item["policies"]) or "-"
    free = f"{item['free']:,}{left}"
    return [item["pool"], free, f"{item['taken']:,}", f"{item['imported']:,}", policies]


@codes.command("show")
def codes_show(
    code: Annotated[str, typer.Argument(help="The code; - reads it from standard input.")],
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Where a code went. Only its keyed hash is compared, and the audit log notes who asked."""
    from orchestrator.cli.operate import ask

    as_json = wants_json(output)
    given = sys.stdin.readline().strip() if code == "-" else code
    items = ask(config, "POST", "/api/v1/codes/find", {"code": given})["items"]
    if as_json:
        print_json(items)
        return
    for item in items:
        typer.echo(f"pool {item['pool']}, imported {item['imported_at']}: {item['status']}")
        if item["message"] is not None:
            typer.echo(f"  taken {item['taken_at']} by message {item['message']}")
            typer.echo(f"  kaskad explain {item['message']}")
