"""
A dump of a PostgreSQL store, by PostgreSQL's own programs: one snapshot, made while processes work.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping
from pathlib import Path


class DumpFailed(Exception):
    """A program of PostgreSQL is missing or has failed; the text has its words and the command."""


def commands(url: str, target: Path) -> tuple[list[str], list[str]]:
    """The commands that dump and restore, without the password of the ``url``."""
    place = without_password(url)[0]
    dump = ["pg_dump", "--format=custom", f"--file={target}", f"--dbname={place}"]
    restore = ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner"]
    return dump, [*restore, f"--dbname={place}", str(target)]


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """
    The URL as other people of the machine may see it among the processes, and the environment that
    has the rest.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.password is None:
        return url, {}
    place, _, host = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=f"{place.partition(':')[0]}@{host}").geturl()
    return bare, {"PGPASSWORD": urllib.parse.unquote(parts.password)}


def dump(url: str, target: Path, env: Mapping[str, str]) -> int:
    """
    Dump the database to ``target``, which must not exist, and read the dump's contents; returns its
    size in bytes. Raises ``DumpFailed`` and ``OSError``.
    """
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.touch(mode=0o600, exist_ok=False)
        run(commands(url, part)[0], {**env, **without_password(url)[1]})
        listed = run(["pg_restore", "--list", str(part)], env)
        if " TABLE DATA " not in listed:
            raise DumpFailed(f"{target}: the dump has no table")
        os.link(part, target)  # never over a file that has come there meanwhile
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def run(command: list[str], env: Mapping[str, str]) -> str:
    """The output of a program. Raises ``DumpFailed``."""
    program = shutil.which(command[0], path=env.get("PATH"))
    shown = shlex.join(command)
    if program is None:
        fix = "install the client programs of PostgreSQL, of the server's version or newer"
        raise DumpFailed(f"{command[0]} is not on the PATH: {fix}; or run it elsewhere:\n{shown}")
    done = subprocess.run(
        [program, *command[1:]], env=dict(env), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DumpFailed(f"{done.stderr.strip()}\n{shown}")
    return done.stdout
