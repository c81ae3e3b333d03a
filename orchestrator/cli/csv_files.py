"""
CSV files as spreadsheets write them: UTF-8 with or without a byte order mark, separated by commas,
semicolons or tabs, columns in any order.

A record that cannot be read costs its first line alone, however much an open quote has swallowed.
"""

from __future__ import annotations

import csv
import io
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

SEPARATORS = (",", ";", "\t")
REFUSED = ("refused_line", "refused_reason")
"""The first columns of a file of refused records."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
SAVE_AS = 'save it as "CSV UTF-8", or convert it: iconv -f WINDOWS-1251 -t UTF-8 OLD > NEW'


class UnreadableFile(Exception):
    """Nothing of the file can be used; the text says why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    A record that begins in line ``line`` (from 1). ``fault`` says why it cannot be used; its
    ``cells`` are then what could be read of it, in the order of the columns.
    """

    line: int
    cells: Sequence[str]
    fault: str = ""


class Lines:
    """
    A file's lines. ``taken`` are those of the record that is being read, which begins after line
    ``before``.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.before = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self.taken.append(line)
        return line

    def begin(self) -> None:
        self.before += len(self.taken)
        self.taken = []

    def give_back(self) -> None:
        """Have all lines of the record read again but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


class CsvFile:
    """
    One file. ``columns`` are the names in its first record as they are written there. Raises
    ``UnreadableFile``.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.line_count = count_lines(file)
        file.seek(0)
        self._lines = Lines(io.TextIOWrapper(file, "utf-8-sig", newline=""))
        self.columns, self.separator = self._read_columns()

    def _read_columns(self) -> tuple[list[str], str]:
        for line in self._lines:
            if not line.strip():
                continue
            split = {
                separator: next(csv.reader([line], delimiter=separator), [])
                for separator in SEPARATORS
            }
            separator = max(SEPARATORS, key=lambda one: len(split[one]))
            columns = [name.strip() for name in split[separator]]
            while columns and not columns[-1]:
                columns.pop()
            repeated = [name for name in columns if columns.count(name) > 1]
            if "" in columns:
                place = columns.index("") + 1
                raise UnreadableFile(f"column {place} has no name; name it in the first line")
            if repeated:
                raise UnreadableFile(f"two columns are called {repeated[0]!r}; rename one")
            return columns, separator
        raise UnreadableFile("it is empty; its first line must name the columns")

    def __iter__(self) -> Iterator[Record]:
        """The records after the first. Empty ones are left out."""
        width, lines = len(self.columns), self._lines
        reader = self._reader()
        while True:
            lines.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                lines.give_back()
                cells = [lines.taken[0].rstrip("\r\n")]
                yield Record(lines.before + 1, cells, f"it is no CSV: {error}; fix its quotes")
                reader = self._reader()
                continue
            cells = [cell.strip() for cell in cells]
            while len(cells) > width and not cells[-1]:
                cells.pop()
            if not any(cells):
                continue
            fault = ""
            if len(cells) != width:
                fault = f"it has {len(cells)} cells, and there are {width} columns; fix the line"
            yield Record(lines.before + 1, cells, fault)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines, delimiter=self.separator, strict=True)

    @property
    def lines_read(self) -> int:
        return self._lines.before


def count_lines(file: BinaryIO) -> int:
    """How many lines there are. Raises ``UnreadableFile`` unless all of them are UTF-8."""
    number = 0
    for number, line in enumerate(file, 1):
        if number == 1 and line.startswith(UTF_16):
            raise UnreadableFile(f"it is UTF-16; {SAVE_AS}")
        try:
            line.decode()
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x}"
            raise UnreadableFile(f"line {number} is not UTF-8 ({byte}); {SAVE_AS}") from None
    return number


class RefusedFile:
    """
    The records that were refused, each with its line and the reason. It is made with the first of
    them; once they are fixed, it can be imported as it is.
    """

    def __init__(self, path: Path, columns: Sequence[str], separator: str) -> None:
        self.path = path
        self.count = 0
        self._columns, self._separator = columns, separator
        self._own = [place for place, name in enumerate(columns) if name in REFUSED]
        self._file: IO[str] | None = None

    def add(self, record: Record, reason: str) -> None:
        """Raises ``OSError``."""
        if self._file is None:
            self._file = private_file(self.path, "utf-8-sig")
            self._writer = csv.writer(self._file, delimiter=self._separator)
            self._writer.writerow([*REFUSED, *self._without_own(self._columns)])
        self.count += 1
        self._writer.writerow([record.line, reason, *self._without_own(record.cells)])

    def _without_own(self, cells: Sequence[str]) -> list[str]:
        return [cell for place, cell in enumerate(cells) if place not in self._own]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def private_file(path: Path, encoding: str = "utf-8") -> IO[str]:
    """A new file that nobody else may read: it will have people's data in it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return open(handle, "w", encoding=encoding, newline="")
