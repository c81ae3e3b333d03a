"""The verb that measures: bench."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from orchestrator.cli.common import USAGE, OutputOption, fail


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    only: Annotated[
        str, typer.Option(help="Groups of figures, comma-separated; all by default.")
    ] = "",
    output: OutputOption = "text",
) -> None:
    """
    How fast it is on this machine. BENCH_QUICK=1 is quicker and rougher, BENCH_JSON=PATH keeps the
    figures.
    """
    try:
        from bench.run import bench as measure
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "bench":
            raise
        fail("the bench lives beside the source: run it from a checkout (make bench)", USAGE)
    raise typer.Exit(measure(only, os.environ, output=output))
