"""One check, and everything it was made of, as far as the store still has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.gates import GateContext
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.core.recipient import Instant
from orchestrator.explain.words import Place
from orchestrator.primitives.durations import duration


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One check, and its inputs. ``policy`` and ``inputs`` are None if the store no longer has their
    versions; then the explanation has only the check's own values.
    """

    check: Mapping[str, Any]
    at: Instant
    place: Place
    message: Message
    channel: str
    policy: Policy | None = None
    inputs: Inputs | None = None

    @property
    def until(self) -> Instant | None:
        return self.check.get("until")

    @property
    def passed(self) -> bool:
        return bool(self.check["verdict"] == "go")

    @property
    def context(self) -> GateContext | None:
        """The gate's context; None if it cannot be rebuilt."""
        if self.policy is None or self.inputs is None or self.check.get("step") is None:
            return None
        return GateContext(self.policy, self.message, self.check["step"], self.inputs, self.at)

    def rule(self, rules: str) -> Any:
        """
        The governance rule that the check names, out of ``caps``, ``gaps``, ``quiet_hours`` or
        ``budgets``.
        """
        found = getattr(self.inputs.governance, rules) if self.inputs is not None else ()
        return next(
            (rule for rule in found if getattr(rule, "name", None) == self.check.get("rule")), None
        )

    def leaves(self, at: Instant) -> str:
        """When it may leave."""
        return f"{self.place.words(at)}, {duration(max(0, at - self.at))} later"

    def too_late(self) -> str:
        """A sentence on the deadline where that comes before the gate opens, else nothing."""
        deadline = self.message.deadline_at
        if self.until is None or self.until < deadline:
            return ""
        return f" Its deadline, {self.place.words(deadline)}, comes before that."


@dataclass(slots=True)
class Account:
    """
    The explanation of a gate's answer: its ``value`` and ``limit`` for people, ``words``, and what
    would have let it pass.
    """

    value: str | None = None
    limit: str | None = None
    words: str = ""
    otherwise: str | None = None
    cap_usages: list[dict[str, Any]] = field(default_factory=list)


def plain(asked: Asked) -> Account:
    """A check that says everything itself."""
    value, limit = asked.check.get("value"), asked.check.get("limit")
    return Account(value, limit, " of ".join(filter(None, (value, limit))))
