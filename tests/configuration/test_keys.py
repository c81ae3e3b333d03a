"""A key is declared once: reader, defaults, effective view, schema and docs follow from that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.configuration.keys import (
    describe,
    nested,
    or_off,
    read,
    rows,
    setting,
    show,
    table_of,
)
from orchestrator.configuration.keys_page import page
from orchestrator.configuration.kinds import DURATION, NAME, RATE, TEXT, whole
from orchestrator.configuration.reading import Report, Section
from orchestrator.configuration.yaml_file import loads

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"


@dataclass(frozen=True)
class Loft:
    """A loft of pigeons."""

    perches: int = setting(whole(1, 100), "How many sleep there.", 12)


@dataclass(frozen=True)
class Pigeons:
    """A model that only this test knows."""

    name: str = setting(NAME, "What the flock is called.", need="name it: name: homers")
    rest_ms: int = setting(DURATION, "The rest between two flights.", 90_000)
    pace: tuple[int, int] | None = setting(RATE, "Flights at most.", otherwise="no limit")
    song: str | None = setting(or_off(TEXT), "What they coo.", "coo")
    loft: Loft = setting(nested(Loft), "Where they sleep.", Loft())


def read_pigeons(text: str) -> tuple[Pigeons | None, list[str]]:
    report = Report()
    found = read(table_of(Pigeons), Section(loads(text, "f"), report, "the flock"))
    return found, [str(problem) for problem in report.problems]


def test_a_declared_key_is_read_and_has_its_default() -> None:
    assert read_pigeons("{name: homers}") == (Pigeons("homers", 90_000, None, "coo", Loft(12)), [])
    text = "{name: homers, rest: 5m, pace: 2/1h, song: off, loft: {perches: 3}}"
    assert read_pigeons(text) == (Pigeons("homers", 300_000, (2, 3_600_000), None, Loft(3)), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ["f:1:1: the flock has no `name`; name it: name: homers"]),
        ("{name: a, rset: 5m}", ["f:1:11: the flock has no key 'rset'; did you mean 'rest'?"]),
        ("{name: a, rest: 5}", ["f:1:17: `rest` 5 has no unit; write it: 5s, 5m, 5h or 5d"]),
        (
            "{name: a, loft: {perches: 0}, pace: x}",
            [
                "f:1:37: `pace` is not a rate (x); write a count and a time: 80/s or 5/1h",
                "f:1:27: `perches` cannot be 0; write a number from 1 to 100",
            ],
        ),
    ],
)
def test_a_declared_key_is_checked_at_its_position(text: str, said: list[str]) -> None:
    assert read_pigeons(text)[1] == said


def test_a_declared_key_is_in_the_effective_view() -> None:
    flock = Pigeons("homers", 90_000, (2, 3_600_000), None)
    assert show(table_of(Pigeons), flock) == {
        "name": "homers",
        "rest": "90s",
        "pace": "2/1h",
        "song": "off",
        "loft": {"perches": 12},
    }


def test_a_declared_key_is_in_the_schema() -> None:
    schema = describe(table_of(Pigeons))
    assert list(schema["properties"]) == ["name", "rest", "pace", "song", "loft"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["loft"]["properties"]["perches"] == {
        "description": "How many sleep there.",
        "type": "integer",
        "minimum": 1,
    }


def test_a_declared_key_is_in_the_table_of_the_docs() -> None:
    assert list(rows(table_of(Pigeons))) == [
        ("name", "name", "required", "What the flock is called."),
        ("rest", "duration", "`90s`", "The rest between two flights."),
        ("pace", "rate", "no limit", "Flights at most."),
        ("song", "text or `off`", "`coo`", "What they coo."),
        ("loft", "mapping", "", "Where they sleep."),
        ("loft.perches", "whole number", "`12`", "How many sleep there."),
    ]


def test_the_page_of_keys_is_what_the_declarations_say_today() -> None:
    assert DOC.read_text("utf-8") == page(), (
        "run: python -m orchestrator.configuration.keys_page > docs/configuration.md"
    )
