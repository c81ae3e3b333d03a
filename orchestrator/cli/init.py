"""The verb init: a project that works, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    USAGE,
    OutputOption,
    fail,
    how_called,
    print_json,
    wants_json,
)

OTHER = "name another folder: kaskad init FOLDER"


def register(app: typer.Typer) -> None:
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
    channels: Annotated[
        str, typer.Option(help="The channels of its policy, comma-separated, the first one first.")
    ] = "sms,email",
    example: Annotated[str, typer.Option(help="shop, or minimal.")] = "shop",
    output: OutputOption = "text",
) -> None:
    """
    Write a project that works: configuration on stand-in accounts, a policy with its test,
    templates, an event. No file is overwritten.
    """
    from orchestrator.configuration.reading import suggestion
    from orchestrator.starter import Unavailable, free_ports, write_project
    from orchestrator.starter.examples import EXAMPLES

    as_json = wants_json(output)
    if example not in EXAMPLES:
        fix = suggestion(example, EXAMPLES, f"there are {' and '.join(EXAMPLES)}")
        fail(f"there is no example {example!r}; {fix}", USAGE)
    names = [name.strip() for name in channels.split(",") if name.strip()]
    if not names:
        fail("--channels names no channel; write --channels sms,email", USAGE)
    ports = free_ports()
    try:
        project = write_project(folder, names, example, ports)
    except Unavailable as error:
        fail(str(error), USAGE)
    except FileExistsError as error:
        fail(f"{folder}: nothing was written, because there is {error} already; {OTHER}", USAGE)
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}; {OTHER}", USAGE)
    phones = f"http://127.0.0.1:{ports.http}/"
    commands = [command for command, _ in next_commands(folder)]
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "files": list(project.files),
                "kept": list(project.kept),
                "phones": phones,
                "next": commands,
            }
        )
        return
    typer.echo(f"Wrote {len(project.files)} files to {folder.resolve()}:")
    for name in project.files:
        typer.echo(f"  {name}")
    for name in project.kept:
        typer.echo(f"Left {name} as it is; it should have the lines .env and data/")
    typer.echo("\nNext:")
    for command, remark in next_commands(folder):
        typer.echo(f"\n  {remark}\n    {command}")
    typer.echo(f"\nEverybody's phones are then at {phones}")


def next_commands(folder: Path) -> list[tuple[str, str]]:
    """What to type next, from where ``init`` was called, each with what it does."""
    there = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    kaskad = f"{there}{how_called(folder)}"
    return [
        (f"{kaskad} run --sandbox", "Start the service and its stand-in providers:"),
        (
            f"{kaskad} send event.json --explain",
            "In a second terminal: publish an event, and have its message explained:",
        ),
        (f"{kaskad} test", "Run the policy's tests; then change it, and run them again:"),
    ]
