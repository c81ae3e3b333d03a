"""The verb that looks at the environment before, or while, the service runs in it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    find_config,
    print_json,
    run_async,
    wants_json,
)
from orchestrator.cli.progress import busy


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    processes: Annotated[
        int, typer.Option(min=1, max=1000, help="How many processes will share store and Kafka.")
    ] = 1,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Is this environment fit? Store, Kafka, providers, ports, clock, secrets; nothing is sent,
    nothing is changed.
    """
    from orchestrator.doctor import examine
    from orchestrator.doctor.findings import as_lines, exit_code

    path, json_wanted = find_config(config), wants_json(output)
    with busy("examining"):
        findings = run_async(examine(path, os.environ, processes))
    if json_wanted:
        print_json([finding.as_json() for finding in findings])
    else:
        typer.echo("\n".join(as_lines(findings)))
    raise typer.Exit(exit_code(findings))
