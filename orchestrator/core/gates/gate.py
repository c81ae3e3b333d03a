"""A gate and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from orchestrator.core.gates.context import GateContext
from orchestrator.core.policy import BudgetOnHit, OnHit
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Struct, Value


class Verdict(StrEnum):
    """A gate's answer. DROP ends the message, SKIP leaves the step, HOLD makes it wait."""

    GO = "go"
    HOLD = "hold"
    SKIP = "skip"
    DROP = "drop"


SEVERITY = {Verdict.GO: 0, Verdict.HOLD: 1, Verdict.SKIP: 2, Verdict.DROP: 3}
ON_HIT: dict[OnHit | BudgetOnHit, Verdict] = {
    "defer": Verdict.HOLD,
    "hold": Verdict.HOLD,
    "skip_step": Verdict.SKIP,
    "drop": Verdict.DROP,
}


class Check(Struct):
    """
    One gate's answer about the step at position ``step`` of the plan, as the trace shows it.

    ``value`` was compared with ``limit``; ``rule`` names the governance rule that was asked.
    """

    gate: str
    verdict: Verdict = Verdict.GO
    reason: Reason | None = None
    value: str | None = None
    limit: str | None = None
    until: Instant | None = None
    rule: str | None = None
    step: int | None = None


class Gate(Value):
    """``reasons`` are all that it can give for not letting a step pass."""

    name: str
    reasons: tuple[Reason, ...]


class HardGate(Gate):
    """A gate that answers GO or never."""

    check: Callable[[GateContext], Check]


class DeferrableGate(Gate):
    """A gate whose rules may also answer "not yet": one check for each rule that applies."""

    checks: Callable[[GateContext], Iterator[Check]]
