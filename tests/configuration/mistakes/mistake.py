"""One mistake: an edit of the project, and where and how it must be reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.configuration.mistakes.project import FILES, write

Row = tuple[str, str, str, str] | tuple[str, str, str, str, str]
WARNING = "warning: "


@dataclass(frozen=True)
class Mistake:
    """
    ``files`` are written over the project (None removes one). ``said`` and ``fix`` are in the
    message; a ``said`` that begins with "warning: " is one.
    """

    name: str
    files: dict[str, str | bytes | None]
    path: str
    line: int
    said: str
    fix: str

    def make(self, folder: Path) -> None:
        """The project with the mistake in it."""
        write(folder, FILES)
        self.put_in(folder)

    def put_in(self, folder: Path) -> None:
        """Make the mistake in a project that has none."""
        write(folder, {name: one for name, one in self.files.items() if one is not None})
        for name, one in self.files.items():
            if one is None:
                (folder / name).unlink()

    def take_out(self, folder: Path) -> None:
        """Leave the project as it was before."""
        for name in self.files:
            (folder / name).unlink(missing_ok=True)
        write(folder, {name: FILES[name] for name in self.files if name in FILES})
        for below in sorted(folder.rglob("*"), reverse=True):
            if below.is_dir() and not any(below.iterdir()):
                below.rmdir()

    @property
    def severity(self) -> str:
        return "warning" if self.said.startswith(WARNING) else "error"


def edits(path: str, rows: Iterable[Row]) -> list[Mistake]:
    """
    Mistakes in one file: what stands there, what was written in its place, what is said, the fix,
    and (where it is not the changed line) a text of the line that is named, or ``file: text``.
    """
    return [edit(path, *row) for row in rows]


def edit(path: str, old: str, new: str, said: str, fix: str, at: str = "") -> Mistake:
    before = FILES[path]
    assert before.count(old) == 1, (path, old, before.count(old))
    return whole(
        path, before.replace(old, new), said, fix, at, first=changed_line(before, old, new)
    )


def whole(
    path: str, text: str | bytes, said: str, fix: str, at: str = "", *, first: int = 1
) -> Mistake:
    """A file that is written anew, or is one more."""
    files: dict[str, str | bytes | None] = {path: text}
    return placed(files, path, said, fix, at, first)


def renamed(path: str, to: str, said: str, fix: str, at: str = "") -> Mistake:
    """A file under another name."""
    return placed({path: None, to: FILES[path]}, to, said, fix, at, 1)


def removed(path: str, said: str, fix: str, at: str) -> Mistake:
    """A file that is not there."""
    return placed({path: None}, path, said, fix, at, 1)


def placed(
    files: dict[str, str | bytes | None], path: str, said: str, fix: str, at: str, first: int
) -> Mistake:
    line = first
    if at:
        other, colon, needle = at.partition(": ")
        path, needle = (other, needle) if colon and "/" in other else (path, at)
        text = files.get(path) or FILES[path]
        assert isinstance(text, str)
        lines = [
            number
            for number, one in enumerate(text.splitlines(), 1)
            if needle == one or needle in one
        ]
        assert lines, (path, needle)
        line = lines[0]
    (named,) = list(files)[-1:]
    return Mistake(f"{named} {said} {at}".strip(), files, path, line, said, fix)


def changed_line(before: str, old: str, new: str) -> int:
    """The line of the first letter that differs."""
    start = before.index(old)
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return before.count("\n", 0, start) + new.count("\n", 0, same) + 1
