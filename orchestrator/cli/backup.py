"""The verb that copies the store while a service runs: backup."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    NO_CONNECTION,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    wants_json,
)


def register(app: typer.Typer) -> None:
    app.command()(backup)


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; it must not exist yet.")],
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Copy the store to a file, also while a service runs, and check the copy. Of PostgreSQL it is a
    dump of pg_dump.
    """
    from orchestrator.configuration.settings_file import load_store_settings
    from orchestrator.configuration.yaml_file import ConfigError

    as_json, path = wants_json(output), find_config(config)
    try:
        store = load_store_settings(path, os.environ).store
    except ConfigError as error:
        fail(str(error), USAGE)
    if file.exists():
        fail(f"{file} is there already: name another file, or move it away", USAGE)
    if not file.absolute().parent.is_dir():
        fail(f"{file}: there is no folder {file.absolute().parent}; make it first", USAGE)
    if store.kind == "postgresql":
        size, restore = dumped(store.url.get_secret_value(), file)
    elif store.path is None:
        fail(f"{path}: a store in memory cannot be copied", USAGE)
    else:
        size, restore = copied(store.path, file), put_in_place(file, store.path.resolve())
    if as_json:
        print_json({"file": str(file), "bytes": size, "verified": True, "restore": restore})
        return
    typer.echo(f"{file}: {size / 1024**2:.1f} MiB, checked")
    typer.echo("It holds addresses and signing keys: keep it as safe as the store itself.")
    typer.echo(f"To restore it, stop every process, read docs/keeping.md, and then:\n  {restore}")


def put_in_place(file: Path, store: Path) -> str:
    """
    The shell command that moves a store away with its write-ahead log, which a copy in its place
    would read as its own, and puts the copy there.
    """
    old, new = shlex.quote(str(store)), shlex.quote(str(file.absolute()))
    return (
        f"for end in '' -wal -shm; do [ ! -e {old}$end ] || mv {old}$end {old}.before$end; done;"
        f" cp {new} {old}"
    )


def copied(source: Path, file: Path) -> int:
    """Copy an embedded store; ends the program if that fails."""
    import sqlite3

    from orchestrator.cli.progress import progress
    from orchestrator.stores.sqlite.backup import PAGES_AT_ONCE, BadCopy, back_up

    if not source.exists():
        fail(f"{source}: there is no store yet; nothing to copy", NO_CONNECTION)
    total = source.stat().st_size // 8192 + PAGES_AT_ONCE
    try:
        with progress("pages copied", total) as advance:
            return back_up(source, file, lambda done, _: advance(done))
    except BadCopy as error:
        damaged(source, f"the copy is not whole: {error}")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            fail(f"{source}: {error}; look at the disk and the rights of both folders", USAGE)
        damaged(source, str(error))
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}", USAGE)


def damaged(source: Path, what: str) -> NoReturn:
    fix = "restore an older backup, and look at the disk"
    fail(f"{source}: {what}. No backup was made: the store may be damaged; {fix}", CHECK_FAILED)


def dumped(url: str, file: Path) -> tuple[int, str]:
    """Dump a served store; ends the program if that fails. Also the command that restores it."""
    from orchestrator.stores.postgres.backup import DumpFailed, commands, dump

    try:
        size = dump(url, file, os.environ)
    except DumpFailed as error:
        fail(str(error), NO_CONNECTION)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}", USAGE)
    return size, shlex.join(commands(url, file)[1])
