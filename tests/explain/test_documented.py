"""
The document's shape is a promise: every key it has is in the docs, and every reason's other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.outcomes import Refused
from orchestrator.core.policy import Cap, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.explain import OTHERWISE
from tests.engine.world import World
from tests.explain.tales import explain

DOC = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_s_other_way_is_in_the_docs(reason: Reason) -> None:
    assert f"| `{reason.value}` | {OTHERWISE[reason]} |" in DOC


def keys(value: Any, where: str = "") -> Iterator[str]:
    """Every key of a document but those of facts, which are the trace's own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name.removesuffix("_local")
            if name != "fact":
                yield from keys(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, where)


async def test_every_key_of_the_document_is_in_the_docs() -> None:
    cap = Cap("one", 1, window_ms=3_600_000)
    policy = Policy("tale", "v1", "shop.event", (Step("sms"), Step("email")), also=(Step("viber"),))
    async with World(policy, governance=Governance("g1", caps=(cap,))) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, Refused(Reason.REFUSED_RECIPIENT, "1"))
        (held,) = (await world.publish("2")).messages
        found = {*keys(await explain(world, id)), *keys(await explain(world, held))}
    assert {name for name in found if f"`{name}`" not in DOC} == set()
