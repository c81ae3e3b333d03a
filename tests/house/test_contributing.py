"""The checklists of CONTRIBUTING name files, commands and tests that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
LISTS = dict(re.findall(r"^### ([^\n]+)\n\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S))


def test_there_is_a_checklist_for_everything_that_is_added_often() -> None:
    assert set(LISTS) >= {"A provider", "A channel", "A gate", "A route"}
    assert any("key" in title for title in LISTS)


@pytest.mark.parametrize("title", LISTS)
def test_a_checklist_is_shown_by_a_test_that_follows_its_steps(title: str) -> None:
    shown = re.search(r"^Shown by `(tests/[\w/.]+)`", LISTS[title], re.M)
    assert shown is not None
    assert (ROOT / shown[1]).is_file(), shown[1]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w.]+(?:/[\w.]+)+)`", PAGE))))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists(), path


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z][\w.]+)", PAGE))))
def test_a_command_that_is_named_is_there(module: str) -> None:
    assert importlib.util.find_spec(module) is not None
