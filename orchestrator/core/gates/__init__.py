"""
May this step start now? The gates are asked in the order of the two tuples below.

The first hard gate that says "never" ends the asking. The deferrable gates are then all asked,
because the most restrictive of them counts. Every trace shows the answers in this order.

To add a gate, write a file with its name, its reasons and its function, and put it into a tuple.
``tests/core/gates/test_every_gate.py`` then says what else it lacks.
"""

from __future__ import annotations

from orchestrator.core.gates import (
    budget,
    caps,
    consent,
    deadline,
    gaps,
    goal,
    paused,
    quiet_hours,
    reachability,
    session,
    suppression,
    when,
)
from orchestrator.core.gates.context import GateContext, price
from orchestrator.core.gates.gate import (
    ON_HIT,
    SEVERITY,
    Check,
    DeferrableGate,
    Gate,
    HardGate,
    Verdict,
)
from orchestrator.core.recipient import Instant

HARD_GATES: tuple[HardGate, ...] = (
    deadline.GATE,
    goal.GATE,
    suppression.GATE,
    consent.GATE,
    reachability.GATE,
    when.GATE,
)
DEFERRABLE_GATES: tuple[DeferrableGate, ...] = (
    session.GATE,
    paused.GATE,
    quiet_hours.GATE,
    caps.GATE,
    gaps.GATE,
    budget.GATE,
)


def ask(context: GateContext) -> tuple[Check, tuple[Check, ...]]:
    """The decisive check (GO if every gate lets the step pass), and all that were made."""
    made: list[Check] = []
    for hard in HARD_GATES:
        check = hard.check(context)
        check.step = context.number
        made.append(check)
        if check.verdict is not Verdict.GO:
            return check, tuple(made)
    answers = [check for gate in DEFERRABLE_GATES for check in gate.checks(context)]
    for check in answers:
        check.step = context.number
    made.extend(answers)
    decisive = max(answers, key=restriction, default=Check(budget.NAME))
    return decisive, tuple(made)


def restriction(check: Check) -> tuple[int, Instant]:
    """A rank of an answer: the graver verdict first, then the longer hold."""
    return SEVERITY[check.verdict], check.until or 0


__all__ = [
    "DEFERRABLE_GATES",
    "HARD_GATES",
    "ON_HIT",
    "SEVERITY",
    "Check",
    "DeferrableGate",
    "Gate",
    "GateContext",
    "HardGate",
    "Verdict",
    "ask",
    "price",
]
