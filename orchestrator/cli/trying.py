"""What the verbs share that try policies in virtual time: the installation, tables, progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.common import USAGE, fail

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.configuration.loading import Configuration

COLUMNS = 140
PROGRESS_SECONDS = 10.0


def quiet_logs() -> None:
    """Keep what the service would log off the terminal."""
    from orchestrator.telemetry.logging import configure_logging

    configure_logging("critical")


def installation(path: Path) -> Configuration:
    """
    The configuration without its secrets; ends the program where something else is wrong with it.
    """
    from orchestrator.check.judge import load_configuration
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        return load_configuration(path, os.environ, secrets=False)
    except ConfigError as error:
        fail(str(error), USAGE)


def wide_console() -> Console:
    """Standard output; as wide as its terminal, or wide enough for tables where it is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else COLUMNS)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """
    Show progress on standard error: a bar on a terminal, else a line now and then. Yields the
    function that advances it.
    """
    from rich.console import Console
    from rich.progress import Progress

    if not sys.stderr.isatty():
        yield progress_lines(what, total)
        return
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def advance(count: float) -> None:
            bar.update(task, advance=count, refresh=True)

        yield advance


def progress_lines(what: str, total: int) -> Callable[[float], None]:
    """A function that advances the progress, and prints a line every ``PROGRESS_SECONDS``."""
    done, shown_at = 0.0, time.monotonic()

    def advance(count: float) -> None:
        nonlocal done, shown_at
        done += count
        if time.monotonic() - shown_at >= PROGRESS_SECONDS:
            shown_at = time.monotonic()
            typer.echo(f"{what}: {done / total:.0%} ({done:.0f} of {total})", err=True)

    return advance
