"""
An embedded store: can its folder be written, is the disk quick and large enough, who may read it.

Every commit waits for the disk, so the time of one ``fsync`` bounds how many batches a second there
can be. SQLite's write-ahead log needs shared memory between connections, which network file systems
do not give.

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
from orchestrator.doctor.findings import Finding, by_limits, error, fine, warning
from orchestrator.stores.sqlite.schema import migration_status

AREA = "store"
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"}
)
MIB = 1024 * 1024
FREE_ERROR_MIB, FREE_WARNING_MIB = 100, 1024
FSYNC_TRIES = 20
PAGE_BYTES = 4096
FSYNC_WARNING_SECONDS, FSYNC_ERROR_SECONDS = 0.02, 0.5
SQLITE_LEAST = (3, 35, 0)


def look_at_sqlite(settings: Settings, processes: int) -> list[Finding]:
    """Everything about an embedded store; blocks for as long as the disk takes."""
    path = settings.store.path.resolve() if settings.store.path is not None else None
    if path is None:
        what = "the store is in memory and forgets everything at the end"
        return [warning(AREA, "durable", "store", what, "name a file: sqlite:///../data/kaskad.db")]
    found = [release()]
    if processes > 1:
        what = f"an embedded store serves one process, and {processes} are planned"
        fix = "use store: postgresql://…, or say --processes 1"
        found.append(warning(AREA, "processes", str(path), what, fix))
    folder = existing(path.parent)
    if not folder.is_dir():
        fix = "name a file in a folder: sqlite:///../data/kaskad.db"
        return [*found, error(AREA, "writable", str(folder), "this is not a folder", fix)]
    if not os.access(folder, os.W_OK | os.X_OK):
        what = f"user {os.getuid()} may not write here"
        return [
            *found,
            error(
                AREA,
                "writable",
                str(folder),
                what,
                f"chown {os.getuid()} {folder}, or name another folder",
            ),
        ]
    found += [file_system(folder), space(folder), fsync_time(folder)]
    if path.exists():
        found += [schema(path, settings.migrate), private(path)]
    else:
        found.append(
            fine(AREA, "schema", str(path), "there is no file yet: it is made at the first start")
        )
    return found


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists; the rest is made at the start."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def release() -> Finding:
    """SQLite's own release."""
    what = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < SQLITE_LEAST:
        return error(AREA, "release", "python", what, "use a Python whose SQLite is 3.35 or newer")
    return fine(AREA, "release", "python", what)


def file_system(folder: Path) -> Finding:
    """What kind of file system the folder is on; unknown kinds pass."""
    kind = mounted_as(folder, Path("/proc/mounts"))
    if kind in NETWORK_FILE_SYSTEMS:
        what = f"{kind} is a network file system, on which SQLite loses data"
        return error(
            AREA,
            "file_system",
            str(folder),
            what,
            "use a local disk or a block volume, or PostgreSQL",
        )
    return fine(AREA, "file_system", str(folder), kind or "local")


def mounted_as(folder: Path, mounts: Path) -> str:
    """The type of the file system that a folder is on, "" where nobody can tell."""
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
    what = f"{free_mib} MiB free"
    fix = "make room, or shorten `retention`; a full disk stops everything"
    return by_limits(
        AREA,
        "space",
        str(folder),
        what,
        fix,
        value=-free_mib,
        warn_over=-FREE_WARNING_MIB,
        refuse_over=-FREE_ERROR_MIB,
    )


def fsync_time(folder: Path) -> Finding:
    """How long the disk takes to make a page durable."""
    times = []
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for _ in range(FSYNC_TRIES):
                file.write(b"\0" * PAGE_BYTES)
                begun = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - begun)
    except OSError as problem:
        return error(
            AREA,
            "fsync",
            str(folder),
            f"writing failed: {problem.strerror}",
            "look at the disk and its quota",
        )
    median = statistics.median(times)
    what = (
        f"fsync takes {median * 1000:.2f} ms (median of {FSYNC_TRIES}), {max(times) * 1000:.2f} ms"
        " at most"
    )
    fix = "use a disk with a protected write cache: every batch waits for it"
    return by_limits(
        AREA,
        "fsync",
        str(folder),
        what,
        fix,
        value=median,
        warn_over=FSYNC_WARNING_SECONDS,
        refuse_over=FSYNC_ERROR_SECONDS,
    )


def schema(path: Path, migrate: str) -> Finding:
    """Whether the schema is as this release needs it; reads beside a running service."""
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            steps = migration_status(db)
        finally:
            db.close()
    except sqlite3.Error as problem:
        what = f"it cannot be read: {problem}"
        return error(AREA, "schema", str(path), what, "restore a backup, or name another file")
    waiting = [name for name, done in steps.items() if not done]
    if not waiting:
        return fine(AREA, "schema", str(path), "the schema is up to date")
    what = f"to come: {', '.join(waiting)}"
    if migrate == "manual":
        return error(
            AREA, "schema", str(path), what, "run `kaskad migrate up`, or set migrate: auto"
        )
    return fine(AREA, "schema", str(path), f"{what}; run at the next start")


def private(path: Path) -> Finding:
    """The file holds addresses and signing keys: nobody else should read it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        what = f"mode {mode:04o}: every user of this machine can read profiles and keys"
        return warning(AREA, "private", str(path), what, f"chmod o= {path} {path}-wal {path}-shm")
    return fine(AREA, "private", str(path), f"mode {mode:04o}")
