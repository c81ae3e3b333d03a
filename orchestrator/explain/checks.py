"""
One gate's answer, explained: its value against its limit, and what would have let the step pass.

A stored check has only the answer. The details (which usages fill a cap, which opt-out stands in
the way, whose clock a quiet window was read by) are computed here from the inputs stored with the
fact, by the core's own functions. ``EXPLAINERS`` has a function for
each gate with more to say than value and limit; the others use ``plain``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.core.reasons import Reason
from orchestrator.explain import deferrable_gates as deferrable
from orchestrator.explain import hard_gates as hard
from orchestrator.explain.asked import Account, Asked, plain
from orchestrator.explain.otherwise import OTHERWISE
from orchestrator.explain.views import check_view

EXPLAINERS: dict[str, Callable[[Asked], Account]] = {
    "deadline": hard.deadline,
    "goal": hard.goal,
    "suppression": hard.suppression,
    "consent": hard.consented,
    "reachability": hard.reachability,
    "when": hard.condition,
    "session": deferrable.opened,
    "quiet_hours": deferrable.quiet,
    "caps": deferrable.capped,
    "gaps": deferrable.gapped,
    "budget": deferrable.budgeted,
}


def explain_check(asked: Asked) -> dict[str, Any]:
    """The check as the explanation shows it (see docs/explain.md for the shape)."""
    check = asked.check
    reason = Reason(check["reason"]) if check.get("reason") else None
    account = EXPLAINERS.get(check["gate"], plain)(asked)
    otherwise = None
    if not asked.passed:
        otherwise = account.otherwise or (OTHERWISE[reason] if reason is not None else None)
        otherwise = otherwise and otherwise + asked.too_late()
    until = asked.until
    return {
        **check_view(check),
        **({"until_local": asked.place.iso(until)} if until is not None else {}),
        "channel": asked.channel,
        "sentence": reason.describe() if reason is not None else None,
        "value_words": account.value,
        "limit_words": account.limit,
        "words": account.words,
        "otherwise": otherwise,
        "cap_usages": account.cap_usages,
    }
