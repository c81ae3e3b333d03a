"""
Watch mode of ``kaskad check`` and ``kaskad test``: look again whenever a file changes, and print
only what is different. Nothing on the terminal is ever cleared, so its output can go to a file.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import typer

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 0.1
"""An editor may write several files, or one in two steps."""
FILES_MAX = 20_000
SUFFIXES = frozenset({".yaml", ".yml", ".j2", ".env"})

Stamp = tuple[int, int]
Findings = Mapping[str, str]
"""What is wrong: the text of each finding by a name that stays the same while it does."""


def watch(folders: Iterable[Path], look: Callable[[], tuple[Findings, str]]) -> None:
    """
    Print what ``look`` finds and its summary; then, whenever a file in ``folders`` changes, what is
    new and what is gone. Ends with Ctrl-C.
    """
    roots = [folder.resolve() for folder in folders]
    typer.echo("watching for changes; Ctrl-C ends it", err=True)
    before: Findings = {}
    # a shell starts what stands in the background with this signal ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        seen = stamps(roots)
        found, summary = looked(look)
        report(before, found, summary)
        before = found
        while True:
            time.sleep(LOOK_SECONDS)
            now = stamps(roots)
            if now == seen:
                continue
            time.sleep(SETTLE_SECONDS)
            now = stamps(roots)
            changed, seen = changes(seen, now), now
            typer.echo(f"── {time.strftime('%H:%M:%S')} {named(changed)}")
            found, summary = looked(look)
            report(before, found, summary)
            before = found
    except KeyboardInterrupt:
        typer.echo("", err=True)


def looked(look: Callable[[], tuple[Findings, str]]) -> tuple[Findings, str]:
    """What is found; a verb that ends the program has said why, and the next change may fix it."""
    try:
        return look()
    except typer.Exit:
        return {}, "waiting for the next change"


def report(before: Findings, found: Findings, summary: str) -> None:
    for name, text in found.items():
        if before.get(name) != text:
            typer.echo(text)
    for name in before:
        if name not in found:
            typer.echo(f"gone: {name}")
    typer.echo(summary)


def stamps(roots: Iterable[Path]) -> dict[Path, Stamp]:
    """The time and size of every file that may matter, of the first ``FILES_MAX``."""
    found: dict[Path, Stamp] = {}
    for file in files(roots):
        try:
            status = file.stat()
        except OSError:
            continue
        found[file] = (status.st_mtime_ns, status.st_size)
        if len(found) >= FILES_MAX:
            break
    return found


def files(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_file():
            yield root
        for folder, names, inside in os.walk(root):
            names[:] = [
                name for name in names if not name.startswith(".") and name != "node_modules"
            ]
            for name in inside:
                if Path(name).suffix in SUFFIXES or name == ".env":
                    yield Path(folder, name)


def changes(before: Mapping[Path, Stamp], now: Mapping[Path, Stamp]) -> list[Path]:
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


def named(paths: list[Path]) -> str:
    """``survey.yaml changed``; of many, the first and how many more."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{os.path.relpath(paths[0]) if paths else 'a file'}{more} changed"


def project_folders(config: Path) -> list[Path]:
    """The folder of a configuration, with the one above it if it is called ``config``."""
    folder = config.resolve().parent
    return [folder.parent] if folder.name == "config" else [folder]
