"""How far a verb is, on standard error: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

BUSY_SECONDS = 1.0
LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""

Advance = Callable[[int], None]
"""Says how much is done by now."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show the progress of ``what``; ``total`` is None if nobody knows how much there is."""
    if sys.stderr.isatty():
        with bar(what, total) as advance:
            yield advance
        return
    last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            of = f" of {total}" if total is not None else ""
            typer.echo(f"{what}: {done}{of}", err=True)

    yield say


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something goes on whose length nobody knows, once it takes long."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    shown = Console(stderr=True).status(what)
    timer = threading.Timer(BUSY_SECONDS, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        shown.stop()


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.update(task, completed=done)
