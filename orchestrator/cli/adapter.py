"""The verbs of those who write adapters."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.common import CHECK_FAILED, USAGE, fail

adapter_app = typer.Typer(help="Adapters of your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(adapter_app, name="adapter")


@adapter_app.command()
def test(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE",
            help="A directory with a pyproject.toml, an installed package, a file with EXAMPLES,"
            " or a kaskad.yaml with declared gateways.",
        ),
    ],
) -> None:
    """Run the conformance suite over the adapters and wire examples of a package."""
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        from kaskad_testing.finding import NothingToTest
        from kaskad_testing.running import run
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed: pip install 'kaskad[testing]'", USAGE)
    try:
        passed = run(target, typer.echo)
    except (NothingToTest, ConfigError) as error:
        fail(str(error), USAGE)
    raise typer.Exit(0 if passed else CHECK_FAILED)
