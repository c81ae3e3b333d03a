"""House rules, so that the next file looks like the last one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("orchestrator", "adapters", "kaskad_testing", "clients")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
PURE = ROOT / "orchestrator" / "core"
STANDARD = {
    "__future__",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "typing",
}
STANDARD |= {"zlib", "zoneinfo", "itertools", "operator", "bisect", "hashlib", "unicodedata"}
VALUES = {"msgspec"}
"""The base of values; only the module that defines values may use it."""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES_MAX
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < FUNCTION_LINES_MAX, function.name


@pytest.mark.parametrize("path", sorted(PURE.rglob("*.py")), ids=lambda path: path.name)
def test_the_core_uses_the_standard_library_and_no_clock(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            allowed = STANDARD | VALUES if path.name == "values.py" else STANDARD
            assert name.startswith("orchestrator.core") or name.split(".")[0] in allowed, name
        if isinstance(node, ast.Attribute):
            assert (
                node.attr not in ("now", "utcnow", "today")
                or not isinstance(node.value, ast.Name)
                or (node.value.id not in ("datetime", "date", "time"))
            )
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "adapters").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_adapters_never_look_at_a_clock_or_log(path: Path) -> None:
    text = path.read_text()
    assert "structlog" not in text
    assert "datetime.now(" not in text
    assert "time.time(" not in text
