"""A call whose process died has a span all the same, and nothing of tracing stops a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.facts import Prepared
from orchestrator.core.message import Status
from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import ApplyFact
from orchestrator.primitives.trace_context import span_id_of
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import Wanted
from orchestrator.telemetry.tracing import Span, Tracing
from tests.engine.world import World, address_hash

SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))


async def intend(world: World, id: str) -> None:
    """Commit the intent of a call that is never made."""
    message = await world.message(id)
    people = await world.store.load(Wanted(recipients={message.recipient}))
    person = Person(message.recipient, people.recipients.get(message.recipient), address_hash)
    [run] = message.ready()
    fact = Prepared(run.step, run.provider or "", person.addresses, "c", 1, None)
    await world.engine.submit(ApplyFact(id, fact))


async def test_a_call_whose_process_died_ends_with_the_timer_that_finds_it() -> None:
    spans: list[Span] = []
    async with World(SMS) as world:
        world.runtime.edges.tracing = Tracing(spans.append, lambda: 1.0, lambda: world.now)
        [id] = (await world.publish()).messages
        await intend(world, id)
        assert "call" not in {one.name for one in spans}
        world.at(3_600)
        await world.fire()
        [attempt] = (await world.message(id)).attempts
    [call] = [one for one in spans if one.name == "call"]
    assert call.context.span_id == span_id_of(id, "call/0")
    assert call.attributes["kaskad.outcome"] == attempt.outcome.value == "unknown"
    assert call.error == "process_died"
    assert call.start_ns == attempt.intent_at * 1_000_000


async def test_a_tracer_that_fails_changes_nothing() -> None:
    def fail(span: Span) -> None:
        raise RuntimeError("no room")

    class Unreadable(dict[str, Any]):
        def get(self, *_: Any) -> Mapping[str, Any]:
            raise RuntimeError("no event")

    async with World(SMS) as world:
        tracing = world.runtime.edges.tracing = Tracing(fail, lambda: 1.0, lambda: world.now)
        [id] = (await world.publish()).messages
        await world.send(id)
        message = await world.message(id)
        assert message.status is Status.SUCCEEDED
        assert tracing.trace_id(message, Unreadable()) is None
