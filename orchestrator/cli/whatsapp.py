"""The verb about the templates that a messenger has approved."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from orchestrator.cli.common import (
    NO_CONNECTION,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    run_async,
    wants_json,
)

COLUMNS = "{:<40} {:<8} {:<12} {:>4} {:>6} {:>7}"


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(
        help="WhatsApp: the templates that Meta has approved.", no_args_is_help=True
    )
    verbs.command("templates")(templates)
    app.add_typer(verbs, name="whatsapp")


def templates(
    provider: Annotated[
        str, typer.Argument(help="The account; else all that have templates.")
    ] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    The account's templates: name, language, status, and the parameters of body, header and buttons.
    """
    from orchestrator.check.judge import load_configuration
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.doctor.accounts import Unreachable, templates_by_account

    try:
        configuration = load_configuration(find_config(config), os.environ)
    except ConfigError as error:
        fail(str(error), USAGE)
    try:
        found = run_async(templates_by_account(configuration, provider))
    except Unreachable as problem:
        fail(str(problem), NO_CONNECTION)
    if not found:
        fix = "set `business_id` of its provider to the id of the WhatsApp business account"
        fail(f"no account has a catalogue of templates; {fix}", USAGE)
    if wants_json(output):
        print_json({name: [asdict(one) for one in listed] for name, listed in found.items()})
        return
    for name, listed in found.items():
        typer.echo(f"{name}: {len(listed)} template(s)")
        typer.echo(COLUMNS.format("NAME", "LANGUAGE", "STATUS", "BODY", "HEADER", "BUTTONS"))
        for one in sorted(listed, key=lambda one: (one.name, one.language)):
            typer.echo(
                COLUMNS.format(
                    one.name, one.language, one.status, one.body, one.header, one.buttons
                ).rstrip()
            )
