"""
Mistakes that people make are found, each told once, at its place and with its fix; what is odd but
right passes. The shares are asserted over the whole table.
"""

from __future__ import annotations

import pytest

from tests.configuration.mistakes import files, governance, installation, policies, templates
from tests.configuration.mistakes.judged import fits, problems
from tests.configuration.mistakes.mistake import Mistake
from tests.configuration.mistakes.project import FILES, write

FOUND_SHARE_MIN = 0.97
RIGHT_SHARE_MIN = 0.85
TABLES = (
    installation.MISTAKES,
    governance.MISTAKES,
    policies.MISTAKES,
    templates.MISTAKES,
    files.MISTAKES,
    files.YAML_LEVEL,
)
MISTAKES: list[Mistake] = [one for table in TABLES for one in table]


def test_the_project_without_a_mistake_is_in_order(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("project")
    write(folder, FILES)
    assert problems(folder) == []
    assert problems(folder, secrets=False) == []


def test_mistakes_are_found_and_reported_once_at_their_place_with_their_fix(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    missed, wrong = [], []
    # one folder for all: what is compiled of the files that stay is compiled once
    folder = tmp_path_factory.mktemp("project")
    write(folder, FILES)
    for mistake in MISTAKES:
        mistake.put_in(folder)
        said = problems(folder)
        mistake.take_out(folder)
        if not said:
            missed.append(mistake.name)
        if len(said) != 1 or not fits(mistake, said[0]):
            wrong.append((mistake.name, [str(one) for one in said]))
    count = len(MISTAKES)
    assert count >= 300
    assert len(missed) <= count * (1 - FOUND_SHARE_MIN), missed
    assert len(wrong) <= count * (1 - RIGHT_SHARE_MIN), wrong


def test_without_secrets_the_same_mistakes_are_found(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("project")
    write(folder, FILES)
    for mistake in [*policies.MISTAKES[::5], *governance.MISTAKES[::5], *files.MISTAKES[::5]]:
        mistake.put_in(folder)
        assert problems(folder, secrets=False) == problems(folder), mistake.name
        mistake.take_out(folder)
