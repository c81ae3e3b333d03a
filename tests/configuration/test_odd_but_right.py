"""A false alarm is as bad as a miss: what is odd but right passes `check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configuration.mistakes.judged import problems
from tests.configuration.odd_but_right import RIGHT, Odd
from tests.configuration.odd_templates import TEMPLATES


@pytest.mark.parametrize("odd", [*RIGHT, *TEMPLATES], ids=lambda odd: odd.name.replace(" ", "_"))
def test_what_is_odd_but_right_is_in_order(odd: Odd, tmp_path: Path) -> None:
    odd.make(tmp_path)
    found = problems(tmp_path)
    assert [str(one) for one in found if one.severity == "error"] == []
    said = [one.what for one in found]
    assert len(said) <= len(odd.warnings), said
    for words in odd.warnings:
        assert any(words in one for one in said), said
