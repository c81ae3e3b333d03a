"""Whole lives of messages on the real engine and store, explained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.configuration.governance_file import governance_to_document
from orchestrator.configuration.policy_file import policy_to_document
from orchestrator.core.policy import Governance, Policy
from orchestrator.explain import explanation, gather
from tests.engine.world import World


async def keep(
    world: World,
    policy: Policy,
    raw: str = "policy: tale\n",
    templates: dict[str, str] | None = None,
) -> None:
    """Store a version, as the service does before it starts messages with it."""
    document = {
        "policy": policy_to_document(policy),
        "raw": raw,
        "templates": {policy.template: templates or {}},
    }
    await world.store.keep_version("policy", policy.name, policy.version, document)


async def keep_governance(world: World, governance: Governance) -> None:
    document = governance_to_document(governance)
    await world.store.keep_version("governance", "governance", governance.version, document)


async def explain(world: World, id: str, *, kept: bool = True) -> dict[str, Any]:
    """The explanation of a message; ``kept`` puts the versions in force into the store first."""
    if kept:
        for policy in world.rules.policies.values():
            await keep(world, policy)
        await keep_governance(world, world.rules.governance)
    material = await gather(world.store, id, world.rules, world.now)
    assert material is not None
    return explanation(material)


def checks(document: dict[str, Any], gate: str) -> list[dict[str, Any]]:
    """Every answer of one gate, in order."""
    return [
        check
        for entry in document["message"]["trace"]
        for check in entry["checks"]
        if check["gate"] == gate
    ]


def stopped(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every check that did not let a step pass."""
    return [
        check
        for entry in document["message"]["trace"]
        for check in entry["checks"]
        if check["verdict"] != "go"
    ]


def moves(document: dict[str, Any]) -> Iterable[tuple[str, str | None]]:
    return [
        (move["what"], move["reason"])
        for entry in document["message"]["trace"]
        for move in entry["moves"]
    ]
