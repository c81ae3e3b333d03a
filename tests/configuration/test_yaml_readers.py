"""The quick reader of YAML says what the exact one says, or leaves the text to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from orchestrator.configuration.yaml_file import (
    ConfigError,
    Node,
    _exact_tree,
    _quick_tree,
    hide_references,
    loads,
)

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("config", "deploy") for path in (ROOT / folder).rglob("*.yaml"))
PIECES = (
    *(
        "a: b\n",
        "- x\n",
        "  ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        " # c\n",
        "'",
        '"',
        "|",
        ">",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
    ),
    *(
        "&a ",
        "*a",
        "!t ",
        "!!str 1",
        "? ",
        "? a\n: b\n",
        "\t",
        "-",
        "---\n",
        "...\n",
        "%",
        "@",
        "`",
        "~",
        "<<: *a\n",
        "é",
        "\xa0",
    ),
    *(
        "a:b",
        "{a:1}",
        "{a: 1}",
        "[a:b]",
        '"a":1',
        "|-\n  x\n",
        ">+\n  y\n\n",
        "|2\n    x\n",
        "'it''s'",
        '"\\\n  x"',
        "\\/",
        "\\x41",
    ),
    *(
        "http://a.b/c?d=1#e",
        "- - a\n",
        "{? a : b}",
        "{a, b}",
        "::",
        ":a",
        "?a",
        "-a",
        "a:\n  - b\n  - c: d\n",
        "${env:X}",
    ),
)


def meaning(node: Node | None) -> Any:
    """
    A tree without the places of its empty values, which the readers may put before or behind the
    line's end.
    """
    if node is None:
        return None
    if node.kind == "map":
        return node.position, node.keys, {name: meaning(one) for name, one in node.value.items()}
    if node.kind == "list":
        return node.position, [meaning(one) for one in node.value]
    return node.kind, node.value, node.text, node.quoted, node.position if node.text else None


def read_exactly(text: str) -> Any:
    try:
        return meaning(_exact_tree(text, "f"))
    except (YAMLError, ConfigError, ValueError) as error:
        return f"refused: {type(error).__name__}"


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10).map("".join))
def test_whatever_the_quick_reader_takes_the_exact_one_reads_alike(text: str) -> None:
    hidden = hide_references(text)
    found = _quick_tree(hidden, "f")
    assert found is None or meaning(found) == read_exactly(hidden)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_that_come_with_the_product_are_read_quickly(path: Path) -> None:
    hidden = hide_references(path.read_text(encoding="utf-8"))
    try:
        exact = _exact_tree(hidden, "f")
    except (YAMLError, ConfigError):
        pytest.skip("a template of a file, not a file")
    assert meaning(_quick_tree(hidden, "f")) in (meaning(exact), None)


@pytest.mark.parametrize("text", ["a: &b c\n", "a: b\x85c\n", "%YAML 1.2\n---\na: b\n"])
def test_what_two_versions_of_yaml_see_differently_is_left_to_the_exact_reader(text: str) -> None:
    assert _quick_tree(text, "f") is None
    assert meaning(loads(text, "f")) == read_exactly(text)
