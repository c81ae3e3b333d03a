"""Every error code that the API answers with is documented, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from orchestrator.api.codes import CALL_CODES, EVENT_CODES

ORCHESTRATOR = Path(__file__).parents[2] / "orchestrator"
PLACES = {"Malformed": 0, "NotJson": 0, "Refusal": 1, "problem": 1, "unknown": 0}
"""Which argument is the code."""
NOT_LITERAL = {
    "refused",
    "token_expired",
    "not_found",
    "method_not_allowed",
    "unknown_channel",
    "unknown_experiment",
    "unknown_policy",
}
"""Codes that are put together, or are in a variable; each has a test of its own."""


def raised() -> Iterator[str]:
    """The codes that stand in the source."""
    files = [
        *(ORCHESTRATOR / "api").glob("*.py"),
        *(ORCHESTRATOR / "events").glob("*.py"),
        ORCHESTRATOR / "primitives" / "strict_json.py",
    ]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            place = PLACES.get(node.func.id)
            if place is None or len(node.args) <= place:
                continue
            code = node.args[place]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                prefix = "unknown_" if node.func.id == "unknown" else ""
                yield prefix + code.value.replace(" ", "_")


def test_every_code_is_listed_and_no_other() -> None:
    assert {*CALL_CODES, *EVENT_CODES} == {*raised()} | NOT_LITERAL
