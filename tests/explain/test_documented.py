"""
The document's shape is a promise: every key it has is in the docs, and every reason's other way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.outcomes import Accepted, Outcome, Refused
from orchestrator.core.policy import Cap, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.explain import OTHERWISE
from orchestrator.explain.views import full_view
from orchestrator.stores.rows import StoredMessage
from tests.engine.world import World
from tests.explain.tales import explain

WORDS = {"intent", "answered", *Delivery, *Engagement}
"""The keys of `times` and `engagement`."""
DOC = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_s_other_way_is_in_the_docs(reason: Reason) -> None:
    assert f"| `{reason.value}` | {OTHERWISE[reason]} |" in DOC


def keys(value: Any, where: str = "") -> Iterator[str]:
    """Every key of a document that the API's message does not have already."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name.removesuffix("_local")
            if name not in ("fact", "effects"):
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
        known = {*keys(plain(full_view(await stored(world, id)))), *WORDS}
    assert {name for name in found - known if f"`{name}`" not in DOC} == set()


@pytest.mark.parametrize("answer", [Accepted("p-1"), Refused(Reason.REFUSED_RECIPIENT, "1", "no")])
async def test_the_explanation_s_message_is_the_api_s_with_more_keys(answer: Outcome) -> None:
    policy = Policy("tale", "v1", "shop.event", (Step("sms"), Step("email")))
    async with World(policy) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, answer)
        contains((await explain(world, id))["message"], plain(full_view(await stored(world, id))))


async def stored(world: World, id: str) -> StoredMessage:
    found = await world.store.message(id)
    assert found is not None
    return found


def plain(value: Any) -> Any:
    """The same as JSON types."""
    return json.loads(json.dumps(value))


def contains(whole: Any, part: Any, where: str = "message") -> None:
    """Raise unless every key of ``part`` stands in ``whole`` with the same value."""
    if isinstance(part, dict):
        for name, value in part.items():
            assert name in whole, f"{where}.{name}"
            contains(whole[name], value, f"{where}.{name}")
    elif isinstance(part, list):
        assert len(whole) == len(part), where
        for index, (one, value) in enumerate(zip(whole, part, strict=True)):
            contains(one, value, f"{where}[{index}]")
    else:
        assert whole == part, where
