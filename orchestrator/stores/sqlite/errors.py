"""SQLite's errors as the store's: busy, away, or a database that cannot be used at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.stores.port import StoreAway, StoreBusy

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
AWAY = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, or shorten `retention`",
    sqlite3.SQLITE_IOERR: "the disk fails to read or write; look at it, and at its quota",
    sqlite3.SQLITE_READONLY: "it may not be written; look at the rights of the file and its folder",
    sqlite3.SQLITE_NOTADB: "this is no database; restore a backup, or name another file",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a backup",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the path, and the rights of its folder",
    sqlite3.SQLITE_PERM: "it may not be opened; look at the rights of the file",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_PROTOCOL: "the locks of its file system fail; use a local disk",
    sqlite3.SQLITE_NOLFS: "the file has outgrown its file system",
}
"""What the operating system or the file has done, and how to fix it."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the library's errors as ``StoreBusy`` and ``StoreAway``; others stay as they are."""
    try:
        yield
    except sqlite3.Error as error:
        code = code_of(error)
        if code in BUSY:
            raise StoreBusy(f"the database is locked: {error}") from error
        if code in AWAY:
            raise StoreAway(f"{error}: {AWAY[code]}") from error
        raise


@contextmanager
def unusable(path: Path | str) -> Iterator[None]:
    """Raise whatever forbids to open a file as ``OSError``, in one line that says how to fix it."""
    try:
        yield
    except sqlite3.Error as error:
        fix = AWAY.get(code_of(error), f"{error}; restore a backup, or name another file")
        raise OSError(f"the store {path} cannot be used: {fix}") from error
    except OSError as error:
        if error.strerror is None:  # it has its own words already
            raise
        fix = "look at the path, its rights and the disk"
        raise OSError(f"the store {path} cannot be used: {error.strerror}; {fix}") from error


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of the module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
