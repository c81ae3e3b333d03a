"""
A copy of the embedded store while a service writes to it.

The copy is made from one read transaction, so it is the store of one moment, and in WAL mode a
reader holds up no writer. Meanwhile the log beside the file cannot be emptied: it grows by what is
written.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

PAGES_AT_ONCE = 512
PAUSE_SECONDS = 0.002
"""After each 4 MiB, so that the disk stays free for the service's commits."""


class BadCopy(Exception):
    """The copy is not whole; the text has what SQLite found."""


def back_up(source: Path, target: Path, advance: Callable[[int, int], None]) -> int:
    """
    Copy the store at ``source`` to ``target``, which must not exist; returns its size in bytes.
    ``advance`` hears how many pages are done, and of how many. Raises ``OSError``,
    ``sqlite3.Error`` and ``BadCopy``; ``target`` is there only if the copy is whole.
    """
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.touch(mode=0o600, exist_ok=False)
        copy(source, part, advance)
        verify(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.link(part, target)  # never over a file that has come there meanwhile
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def copy(source: Path, target: Path, advance: Callable[[int, int], None]) -> None:
    def done(status: int, remaining: int, total: int) -> None:
        advance(total - remaining, total)
        time.sleep(PAUSE_SECONDS)

    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as found,
        closing(sqlite3.connect(target, isolation_level=None)) as written,
    ):
        found.execute("begin")
        found.execute("select count(*) from sqlite_master").fetchone()  # the moment of the copy
        found.backup(written, pages=PAGES_AT_ONCE, progress=done)
        written.execute("pragma journal_mode=delete")  # one file, without a log beside it


def verify(path: Path) -> None:
    """Read every page and every index. Raises ``BadCopy``."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copied:
        found = [row[0] for row in copied.execute("pragma integrity_check(5)")]
    if found != ["ok"]:
        raise BadCopy("; ".join(found))
