"""What verbs share that import a file: where it comes from, and where refused lines go."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.cli.common import USAGE, fail
from orchestrator.cli.csv_files import UnreadableFile


@contextlib.contextmanager
def importing(file: str, stem: str, refused: Path | None) -> Iterator[tuple[BinaryIO, Path]]:
    """
    The file to import (``-``: standard input), and the path of its refused lines, by default
    ``FILE.refused.csv`` beside it, or ``stem`` in the place of a name. A file that cannot be read
    ends the program.
    """
    name = "standard input" if file == "-" else file
    beside = Path(f"{stem}.csv") if file == "-" else Path(file)
    kept = refused or beside.with_name(f"{beside.stem}.refused.csv")
    if file != "-" and kept.resolve() == Path(file).resolve():
        fail(f"{kept}: refused lines cannot go into the file that is read", USAGE)
    try:
        with opened(file) as source:
            yield source, kept
    except UnreadableFile as error:
        fail(f"{name}: {error}", USAGE)
    except OSError as error:
        fail(f"{error.filename or name}: {error.strerror}", USAGE)


@contextlib.contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """A file that can be read twice; standard input is put into one."""
    if file != "-":
        with open(file, "rb") as found:
            yield found
        return
    with tempfile.TemporaryFile() as copy:
        while piece := sys.stdin.buffer.read(1 << 20):
            copy.write(piece)
        copy.seek(0)
        yield copy
