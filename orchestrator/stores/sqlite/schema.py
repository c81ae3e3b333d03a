"""The embedded store's file: its lock, its connections and its migrations."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from orchestrator.stores.port import StoreInUse
from orchestrator.stores.sqlite.errors import unusable

MIGRATIONS = Path(__file__).parent / "migrations"
PAGE_CACHE_KIB = 64 * 1024
PAGE_BYTES = 8_192
"""Of a new file: most rows are appended, and every page that a commit touches is written whole."""
CHECKPOINT_PAGES = 4_096
"""
How far (32 MiB) the log grows before it is copied into the file: a page that is written often is
copied once.
"""
sqlite3.register_adapter(bytes, bytes)
"""Without an adapter the module asks every bytes object how it wants to be stored."""


def connect(path: str, owner: object) -> sqlite3.Connection:
    """A connection to the file; ``:memory:`` is shared by the connections of one ``owner``."""
    in_memory = path == ":memory:"
    # a path is a path, whatever it has of the characters that mean something in a URI
    target = f"file:kaskad-{id(owner)}?mode=memory&cache=shared" if in_memory else absolute(path)
    db = sqlite3.connect(
        target, uri=in_memory, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in (
        f"page_size={PAGE_BYTES}",
        "journal_mode=wal",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "synchronous=full",
        "busy_timeout=10000",
        f"cache_size=-{PAGE_CACHE_KIB}",
        "temp_store=memory",
        "secure_delete=fast",
    ):
        db.execute(f"pragma {pragma}")
    return db


def absolute(path: str) -> str:
    """The path from the root, so that none begins with ``file:``."""
    return os.path.abspath(path)


def prepare_file(path: Path) -> IO[str]:
    """
    Lock the file, and create it for its owner alone: it holds addresses and signing keys. Returns
    the lock. Raises ``StoreInUse`` if another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_file(Path(f"{path}.lock"))
    path.touch(mode=0o600)
    return lock


def lock_file(path: Path) -> IO[str]:
    """Take the lock, or say which process has it."""
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise StoreInUse(
            f"{path.with_suffix('')} is in use by process {owner}. One process at a time may write"
            " an embedded store: stop that one, or use PostgreSQL for several."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def migration_files() -> Sequence[Path]:
    """The migrations in their order."""
    return sorted(MIGRATIONS.glob("*.sql"))


def migrate(db: sqlite3.Connection) -> list[str]:
    """
    Bring the schema up to date; returns the names of the migrations that were run. Each runs whole
    or not at all. A file that a newer release has migrated is left as it is.
    """
    at = db.execute("pragma user_version").fetchone()[0]
    done: list[str] = []
    for number, file in enumerate(migration_files(), start=1):
        if number > at:
            db.executescript(
                f"begin immediate; {file.read_text()}; pragma user_version={number}; commit;"
            )
            done.append(file.stem)
    return done


def migration_status(db: sqlite3.Connection) -> Mapping[str, bool]:
    """Each migration by name, and whether it has been run."""
    at = db.execute("pragma user_version").fetchone()[0]
    return {file.stem: number <= at for number, file in enumerate(migration_files(), start=1)}


def migrate_file(path: Path, *, up: bool) -> dict[str, bool]:
    """
    The migrations of a file: with ``up`` run them and return those that were run, else return each
    and whether it has been run. Raises ``StoreInUse`` if a service has the file open.
    """
    with unusable(path):
        lock = prepare_file(path)
        with closing(lock), closing(connect(str(path), lock)) as db:
            return dict.fromkeys(migrate(db), True) if up else dict(migration_status(db))
