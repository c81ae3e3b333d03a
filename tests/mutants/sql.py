"""
Small wrongs in SQL: a condition left out or turned, an order reversed, a column left out of an
update, a key's column left out, a limit or a lock forgotten.

Plain indexes are not touched: they change how long an answer takes, not the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from re import Match

COMMENT = re.compile(r"--[^\n]*")
STATEMENT = re.compile(
    r"^-- name: (\w+)$|^create (?:unique )?(?:table|index)[^(]*?(\w+) (?:on|\()", re.M
)
INDEX = re.compile(r"^create index[^;]*;", re.M)
INSTEAD = {
    "and": "or",
    "or": "and",
    "<=": "<",
    ">=": ">",
    "<": "<=",
    ">": ">=",
    "<>": "=",
    "min": "max",
    "max": "min",
    "least": "greatest",
    "greatest": "least",
    "ignore": "replace",
    "replace": "ignore",
    "is not null": "is null",
    "is null": "is not null",
    "is distinct from": "is not distinct from",
    "is not distinct from": "is distinct from",
    "desc": "asc",
    "true": "false",
    "false": "true",
    "+": "-",
    "-": "+",
    "not ": "",
}
WORDS = re.compile(
    r"(?<!between \$\d )\b(?:and|or)\b(?! ignore| replace)"
    r"|(?<= )(?:<=|>=|<>|<|>|\+|-)(?= )"
    r"|\b(?:min|max|least|greatest)(?=\()"
    r"|(?<=\bor )(?:ignore|replace)\b"
    r"|\bis (?:not )?(?:null|distinct from)\b"
    r"|(?<= )desc\b|\b(?:true|false)\b"
    r"|\bnot (?=exists|[a-z_.]+ (?:= any|in) )"
)
LEFT_OUT = re.compile(
    r"\blimit (?:\$\d+|\d+)"
    r"|\bfor (?:update|share|no key update)(?: of \w+)?(?: skip locked)?"
    r"|\border by [^()\n;]+?(?= limit\b|\n|$|;|\))"
)
ASSIGNMENTS = re.compile(
    r"\bset ((?:\w+ = [^,;]+?)(?:,\s*\w+ = [^,;]+?)+)(?=\n|\s+where|\s+from|$)", re.S
)
KEY = re.compile(r"\b(primary key|unique(?: index \w+ on \w+)?|on conflict) ?\(([^()]+,[^()]+)\)")


@dataclass(frozen=True, slots=True)
class Change:
    """One wrong: where it stands, what it does, and the file's whole text with it."""

    line: int
    statement: str
    what: str
    text: str


def changes(text: str) -> list[Change]:
    """Every wrong of a file, in the order of its text."""
    hidden = [match.span() for match in (*COMMENT.finditer(text), *INDEX.finditer(text))]
    found = [
        (start, end, instead)
        for start, end, instead in spans(text)
        if not any(a <= start < b for a, b in hidden)
    ]
    names = [(match.start(), match[1] or match[2]) for match in STATEMENT.finditer(text)]
    return [
        Change(
            text.count("\n", 0, start) + 1,
            next((name for at, name in reversed(names) if at <= start), ""),
            f"`{instead}`, not `{text[start:end]}`" if instead else f"without `{text[start:end]}`",
            text[:start] + instead + text[end:],
        )
        for start, end, instead in sorted(set(found))
    ]


def spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Each replacement as start, end and the new words."""
    for match in WORDS.finditer(text):
        yield (*match.span(), INSTEAD[match[0]])
    for match in LEFT_OUT.finditer(text):
        yield (*match.span(), "")
    for match in ASSIGNMENTS.finditer(text):
        yield from without_one(match, 1)
    for match in KEY.finditer(text):
        yield from without_one(match, 2)


def without_one(match: Match[str], group: int) -> Iterator[tuple[int, int, str]]:
    """Leave out one member of a list that is separated by commas."""
    at, members = match.start(group), re.split(r"(?<=,)", match[group])
    for index, member in enumerate(members):
        end = at + len(member)
        if index == len(members) - 1:  # and the comma before it
            yield match.start(group) + match[group].rindex(","), end, ""
        else:
            yield at, end, ""
        at = end
