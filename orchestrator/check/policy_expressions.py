"""The expressions of policies: where they stand, and which names each may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.check.expressions import Condition, ExpressionLint, condition_at
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import find
from orchestrator.configuration.yaml_file import Node


def conditions_of(root: Node) -> Iterator[Condition]:
    """Every expression in a policy."""
    base = frozenset({"event", "ce", "recipient"})
    yield from condition_at(root, ("trigger", "when"), base | {"now"})
    yield from condition_at(root, ("dedupe", "key"), base)
    yield from condition_at(root, ("digest", "key"), base)
    yield from condition_at(root, ("goal", "match"), base | {"goal", "message", "now"})
    yield from condition_at(root, ("convert", "match"), base | {"goal", "message", "now"})
    for key in ("cascade", "also"):
        steps = find(root, key)
        count = len(steps.value) if steps is not None and steps.kind == "list" else 0
        for number in range(count):
            yield from condition_at(root, (key, number, "when"), base | {"message", "now"})


@dataclass
class ConditionLint(ExpressionLint):
    """Looks at the conditions of one policy."""

    file: PolicyFile

    def found(self) -> Iterator[Condition]:
        return conditions_of(self.file.root)

    def events(self, one: Condition) -> list[dict[str, Any]]:
        policy = self.file.policy
        return self.samples.of(policy.name, policy.event)
