"""A channel is one value: product code asks it, and names none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from orchestrator.channels.registry import address_kinds, channels

ROOT = Path(__file__).parents[2] / "orchestrator"
MAY_NAME_THEM = ("channels", "sandbox", "demo")
"""Packages that are about particular channels: their values, stand-ins, and the worked example."""

VERBS = ("cli/__init__.py", "cli/whatsapp.py")
"""Where a verb is named after the service that it asks."""


def product_files() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in MAY_NAME_THEM
        and str(path.relative_to(ROOT)) not in VERBS
    ]


def docstrings(tree: ast.Module) -> set[ast.Constant]:
    """Every text that stands as a statement of its own."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_product_file_names_a_channel_or_an_address_kind(path: Path) -> None:
    names = {*channels(), *address_kinds()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = docstrings(tree)
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names and node not in prose
    ]
    assert not named, "ask the channel's value (orchestrator/channels/kinds.py) instead"
