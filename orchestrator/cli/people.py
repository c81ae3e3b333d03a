"""The verbs about people: their opt-outs, consents and profiles, one or a whole file of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    run_async,
    wants_json,
)

people = typer.Typer(
    help="Opt-outs, consents and recipients as CSV files: docs/people.md has their columns.",
    no_args_is_help=True,
)


class What(StrEnum):
    """What a file has."""

    OPT_OUTS = "opt-outs"
    CONSENTS = "consents"
    RECIPIENTS = "recipients"


WhatOption = Annotated[What, typer.Option("--what", help="What the file has, one a line.")]


def register(app: typer.Typer) -> None:
    app.add_typer(people, name="people")


@people.command("import")
def people_import(
    file: Annotated[str, typer.Argument(help="A CSV file in UTF-8; - is standard input.")],
    what: WhatOption,
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
    Record every line of a file. Lines that are refused go to a file of their own, and the others
    are recorded. To import a file again does no harm.
    """
    from orchestrator.cli.importing import importing
    from orchestrator.cli.people_files import file_formats
    from orchestrator.cli.people_transfer import import_file

    as_json = wants_json(output)
    path = find_config(config)
    formats = file_formats()
    with importing(file, "people", refused) as (source, kept):
        done = run_async(import_file(path, source, formats[what], kept))
    if as_json:
        print_json(done)
    else:
        typer.echo(f"recorded: {done['recorded']} {what}")
        if done["refused"]:
            typer.echo(f"refused: {done['refused']}; the lines and why are in {kept}")
    if done["refused"]:
        raise typer.Exit(CHECK_FAILED)


@people.command("export")
def people_export(
    what: WhatOption,
    file: Annotated[str, typer.Argument(help="Where to write it; - is standard output.")] = "-",
    excel: Annotated[
        bool, typer.Option("--excel", help="As Excel opens it in Ukraine: semicolons, and a BOM.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write a file that `kaskad people import` takes, here or in another installation."""
    from orchestrator.cli.people_files import file_formats
    from orchestrator.cli.people_transfer import export_file

    path = find_config(config)
    try:
        with created(file, "utf-8-sig" if excel else "utf-8") as target:
            done = run_async(export_file(path, target, file_formats()[what], excel))
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}", USAGE)
    typer.echo(f"exported: {done['exported']} {what}", err=True)
    if done["nameless"]:
        typer.echo(
            f"{done['nameless']} more opt-outs are of addresses that no profile has. Of those, only"
            " hashes are kept, so they are not in the file; they hold all the same.",
            err=True,
        )


@contextlib.contextmanager
def created(file: str, encoding: str) -> Iterator[IO[str]]:
    """A file that takes its name once it is whole; ``-`` is standard output."""
    from orchestrator.cli.csv_files import private_file

    if file == "-":
        out = io.TextIOWrapper(sys.stdout.buffer, encoding, newline="")
        try:
            yield out
        finally:
            out.detach()  # flushed; standard output itself stays open
        return
    part = Path(f"{file}.part")
    try:
        with private_file(part, encoding) as target:
            yield target
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
