"""
A gate is one file and one line of the order; this says what a new one still lacks. An explainer is
optional: without one, a check is explained by its plain value and limit.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from orchestrator.core import gates
from orchestrator.core.gates import Gate, HardGate
from orchestrator.core.reasons import Reason
from orchestrator.explain.asked import Asked
from orchestrator.explain.checks import EXPLAINERS, explain_check
from orchestrator.explain.otherwise import OTHERWISE
from orchestrator.explain.words import Place
from tests.core.gates.test_gates import context
from tests.core.tale import START

ROOT = Path(__file__).parents[3]
GATES: tuple[Gate, ...] = gates.HARD_GATES + gates.DEFERRABLE_GATES
MACHINERY = {"__init__", "context", "gate"}

MOON = """
from orchestrator.core.gates.gate import Check, HardGate, Verdict
from orchestrator.core.reasons import Reason

def moon(context):
    '''Nothing is sent at full moon.'''
    if context.now % 2 == 0:
        return Check("moon", Verdict.SKIP, Reason.CONDITION_FALSE, "full", "new")
    return Check("moon")

GATE = HardGate("moon", (Reason.CONDITION_FALSE,), moon)
"""


def lacks(gate: Gate) -> list[str]:
    """The parts that a gate still lacks."""
    kind = "hard" if isinstance(gate, HardGate) else "deferrable"
    rows = (ROOT / "docs" / "explain.md").read_text().splitlines()
    listed = (ROOT / "docs" / "reasons.md").read_text()
    reasons = ", ".join(f"`{reason.value}`" for reason in gate.reasons)
    complete = {
        f"a file orchestrator/core/gates/{gate.name}.py": gate.name
        in {path.stem for path in Path(gates.__file__).parent.glob("*.py")},
        "at least one reason": bool(gate.reasons),
        "a docstring on its function": bool(
            getattr(gate, "check" if kind == "hard" else "checks").__doc__
        ),
        "a row in docs/explain.md": any(
            row.startswith(f"| `{gate.name}` | {kind} |") and row.endswith(f"| {reasons} |")
            for row in rows
        ),
        "a sentence in orchestrator/explain/otherwise.py": set(gate.reasons) <= set(OTHERWISE),
        "a row in docs/reasons.md": all(f"| `{r.value}` | " in listed for r in gate.reasons),
    }
    return [what for what, there in complete.items() if not there]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_gate_has_a_file_reasons_and_documentation(
    gate: Gate,
) -> None:
    assert lacks(gate) == []


def test_every_file_is_in_the_order_and_every_explainer_has_its_gate() -> None:
    files = {path.stem for path in Path(gates.__file__).parent.glob("*.py")} - MACHINERY
    names = [gate.name for gate in GATES]
    assert files == set(names) >= set(EXPLAINERS)
    assert len(names) == len(set(names))


def test_no_reason_belongs_to_two_gates() -> None:
    reasons = [reason for gate in GATES for reason in gate.reasons]
    assert len(reasons) == len(set(reasons))


def test_the_documentation_has_the_gates_in_the_order_in_which_they_are_asked() -> None:
    document = (ROOT / "docs" / "explain.md").read_text()
    positions = [document.index(f"| `{gate.name}` | ") for gate in GATES]
    assert positions == sorted(positions)


def test_a_new_gate_is_one_file_and_one_line_of_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moon.py").write_text(MOON)
    spec = importlib.util.spec_from_file_location("moon", tmp_path / "moon.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(gates, "HARD_GATES", (*gates.HARD_GATES, module.GATE))

    decisive, checks = gates.ask(asked := context())
    assert (decisive.gate, decisive.reason, decisive.step) == ("moon", Reason.CONDITION_FALSE, 0)
    assert [check.gate for check in checks] == [gate.name for gate in gates.HARD_GATES]
    explained = explain_check(
        Asked(
            {"gate": "moon", "verdict": "skip", "value": "full", "limit": "new", "step": 0}
            | {"reason": "condition_false"},
            START,
            Place("UTC", "installation"),
            asked.message,
            "sms",
        )
    )
    assert explained["words"] == "full of new"
    assert lacks(module.GATE) == [
        "a file orchestrator/core/gates/moon.py",
        "a row in docs/explain.md",
    ]
