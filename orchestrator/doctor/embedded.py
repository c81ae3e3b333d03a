"""
An embedded store: can its folder be written, is the disk fast and large enough, who may read it.

Every commit waits for the disk, so the time of one ``fsync`` bounds the batches a second. SQLite's
write-ahead log needs memory shared between connections, which network file systems do not offer.

Reference: SQLite, "Write-Ahead Logging", section 1 (disadvantage 2); proc_mounts(5).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import statistics
import tempfile
import time
from pathlib import Path

from orchestrator.configuration.settings import Settings
from orchestrator.doctor.findings import Finding, Subject, schema_state
from orchestrator.doctor.keys import STORED_KEYS, stored_signing_key
from orchestrator.stores.sqlite.schema import migration_status

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"}
)
MIB = 1024 * 1024
FREE_MIB = (1024, 100)
FSYNC_TRIES = 20
PAGE_BYTES = 4096
FSYNC_SECONDS = (0.02, 0.5)
SQLITE_LEAST = (3, 35, 0)


def look_at_sqlite(settings: Settings, processes: int) -> list[Finding]:
    """Everything about an embedded store; blocks for as long as the disk takes."""
    path = settings.store.path.resolve() if settings.store.path is not None else None
    if path is None:
        what = "the store is in memory and forgets everything at the end"
        fix = "name a file: sqlite:///../data/kaskad.db"
        return [Subject("store", "store").warning("durable", what, fix)]
    at, folder = Subject("store", str(path)), existing(path.parent)
    found = [release()]
    if processes > 1:
        what = f"an embedded store serves one process, and {processes} are planned"
        fix = "use store: postgresql://…, or say --processes 1"
        found.append(at.warning("processes", what, fix))
    in_folder = at.at(str(folder))
    if not folder.is_dir():
        fix = "name a file in a folder: sqlite:///../data/kaskad.db"
        return [*found, in_folder.error("writable", "this is not a folder", fix)]
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = f"chown {os.getuid()} {folder}, or name another folder"
        return [
            *found,
            in_folder.error("writable", f"user {os.getuid()} may not write here", fix),
        ]
    found += [file_system(folder), space(folder), fsync_time(folder)]
    if not path.exists():
        return [*found, at.fine("schema", "there is no file yet: it is made at the first start")]
    return [*found, *inside(path, settings), private(path)]


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists; the rest is made at the start."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def release() -> Finding:
    """SQLite's own release."""
    what, fix = f"SQLite {sqlite3.sqlite_version}", "use a Python whose SQLite is 3.35 or newer"
    sound = sqlite3.sqlite_version_info >= SQLITE_LEAST
    return Subject("store", "python").expect("release", sound, what, fix)


def file_system(folder: Path) -> Finding:
    """The type of the folder's file system; unknown types pass."""
    at, kind = Subject("store", str(folder)), mounted_as(folder, Path("/proc/mounts"))
    if kind in NETWORK_FILE_SYSTEMS:
        what = f"{kind} is a network file system, on which SQLite loses data"
        fix = "use a local disk or a block volume, or PostgreSQL"
        return at.error("file_system", what, fix)
    return at.fine("file_system", kind or "local")


def mounted_as(folder: Path, mounts: Path) -> str:
    """The type of the file system that a folder is on, "" if it is unknown."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        _, point, found, *_ = line.split(" ")
        place = Path(point.replace("\\040", " "))
        if folder.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), found
    return kind


def space(folder: Path) -> Finding:
    """Room for the database and its log."""
    free_mib = shutil.disk_usage(folder).free // MIB
    fix = "make room, or shorten `retention`; a full disk stops everything"
    limits = (-FREE_MIB[0], -FREE_MIB[1])
    at = Subject("store", str(folder))
    return at.graded("space", -free_mib, f"{free_mib} MiB free", fix, limits=limits)


def fsync_time(folder: Path) -> Finding:
    """The time to make a page durable on the disk."""
    at, times = Subject("store", str(folder)), []
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for _ in range(FSYNC_TRIES):
                file.write(b"\0" * PAGE_BYTES)
                begun = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - begun)
    except OSError as problem:
        fix = "look at the disk and its quota"
        return at.error("fsync", f"writing failed: {problem.strerror}", fix)
    median = statistics.median(times)
    usual, worst = f"{median * 1000:.2f} ms (median of {FSYNC_TRIES})", max(times) * 1000
    what = f"fsync takes {usual}, {worst:.2f} ms at most"
    fix = "use a disk with a protected write cache: every batch waits for it"
    return at.graded("fsync", median, what, fix, limits=FSYNC_SECONDS)


def inside(path: Path, settings: Settings) -> list[Finding]:
    """
    Whether the schema is as this release needs it, and the age of the signing key; reads beside a
    running service.
    """
    at, own = Subject("store", str(path)), settings.signing_key is not None
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            steps = migration_status(db)
            rows = db.execute(STORED_KEYS).fetchall() if all(steps.values()) else []
        finally:
            db.close()
    except sqlite3.Error as problem:
        fix = "restore a backup, or name another file"
        return [at.error("schema", f"it cannot be read: {problem}", fix)]
    schema = schema_state(at, steps, settings.migrate, "the schema is up to date")
    return [schema, stored_signing_key(at, rows, own=own)]


def private(path: Path) -> Finding:
    """The file holds addresses and signing keys: nobody else should read it."""
    at, mode = Subject("store", str(path)), stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        what = f"mode {mode:04o}: every user of this machine can read profiles and keys"
        return at.warning("private", what, f"chmod o= {path} {path}-wal {path}-shm")
    return at.fine("private", f"mode {mode:04o}")
