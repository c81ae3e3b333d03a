"""Which arm of an experiment a message has, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.primitives.durations import rfc3339


def experiment_view(
    message: Message, policy: Policy | None, history: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The experiment and the arm of a message, in words, too; None without one."""
    experiment = policy.experiment if policy is not None else None
    if not message.arm or experiment is None:
        return None
    draws = next((entry["inputs"].get("draws") for entry in history if "inputs" in entry), None)
    weights = ", ".join(f"{arm.name} {arm.weight}" for arm in experiment.arms)
    if draws:
        drawn = ", ".join(f"{name} {rate:.4f}" for name, rate in draws.items())
        why = f"drawn by what was known of the arms: {drawn}; the highest wins"
    elif experiment.allocate == "thompson" and policy is not None and not policy.held_out:
        why = "as this recipient had it before"
    else:
        why = f"by the keyed hash of the recipient, at the weights {weights}"
    return {
        "name": experiment.name,
        "arm": message.arm,
        "held_out": policy.held_out if policy is not None else False,
        "draws": draws or None,
        "words": f"arm {message.arm} of the experiment {experiment.name}, {why}",
    }


def outcome_view(message: Message) -> dict[str, Any]:
    """The journey and the arm of a message, and when what it was sent for came of it."""
    converted_at = message.converted_at
    return {
        "journey": message.journey,
        "arm": message.arm or None,
        "converted_at": rfc3339(converted_at) if converted_at is not None else None,
    }
