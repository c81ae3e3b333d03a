"""Bugs in codes and experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.core.values import replace
from orchestrator.engine import applying, experiments
from orchestrator.engine.free_codes import FreeCodes
from orchestrator.engine.handlers import events
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=24)
def code_given_twice() -> Sequence[Replacement]:
    """The last code that a batch has at hand goes to the next message, too."""
    take = FreeCodes.take

    def again(self: Any, pool: str) -> Any:
        free = self._free.get(pool)
        return free[0] if free and len(free) > 1 else take(self, pool)

    return [(FreeCodes, "take", again)]


@bug(seed=4)
def code_not_given_back() -> Sequence[Replacement]:
    """A message that never left keeps its code."""
    return [(applying, "return_codes", lambda *given: None)]


@bug(seed=17)
def code_given_back_though_it_was_sent() -> Sequence[Replacement]:
    """A message gives its code back whenever it has ended."""
    return [(Message, "never_left", property(lambda self: self.terminal))]


@bug(seed=24)
def arm_changes_with_the_configuration() -> Sequence[Replacement]:
    """Another version of a policy deals its people anew."""
    original = experiments.arm_for

    def anew(context: Any, policy: Policy, person: Any) -> Any:
        if policy.experiment is not None:
            named = replace(policy.experiment, name=f"{policy.name} {policy.version}")
            policy = replace(policy, experiment=named)
        return original(context, policy, person)

    return [(events, "arm_for", anew)]


@bug(seed=24)
def held_out_person_written_to() -> Sequence[Replacement]:
    """The arm that sends nothing sends what the policy does."""
    variant = Policy.variant

    def sends(self: Policy, arm: str) -> Policy:
        return replace(variant(self, arm), held_out=False)

    return [(Policy, "variant", sends)]
