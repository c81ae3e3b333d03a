"""
Sends under way: prepared from stored inputs, called once their intent is durable, finished when the
service stops.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from orchestrator.channels import (
    Accepted,
    Adapter,
    AdapterSettings,
    Capabilities,
    Outcome,
    Outgoing,
)
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.recent_decisions import RECENT_SECONDS
from orchestrator.engine.answers import OnResult
from orchestrator.engine.commands import ApplyFact, Command
from orchestrator.render import TemplateSet
from orchestrator.stores.port import StoreBusy
from tests.engine.world import PROVIDERS, World

POLICY = Policy("order", "v1", "shop.event", (Step("viber"),), template="order")
TEMPLATES = TemplateSet.from_sources(
    {"order": {"viber.text.j2": "Dear {{ recipient.first_name }}"}}
)


class Waiter(Adapter[AdapterSettings]):
    """Answers nothing until it is told to."""

    name: ClassVar[str] = "waiter"
    supports: ClassVar[Capabilities] = Capabilities(channel="viber", address=("phone",))

    def __init__(self) -> None:
        super().__init__(AdapterSettings(), "viber_a")
        self.asked: asyncio.Queue[Outgoing] = asyncio.Queue()
        self.may_answer = asyncio.Event()

    async def send(self, message: Outgoing) -> Outcome:
        self.asked.put_nowait(message)
        await self.may_answer.wait()
        return Accepted(f"id-{message.message_id}")


class Shop:
    """A world with one provider at work, whose monotonic clock is moved by hand."""

    def __init__(self, *policies: Policy, slots: int = 2, **world: Any) -> None:
        self.adapter = Waiter()
        self.provider = ActiveProvider(
            PROVIDERS["viber_a"], self.adapter, None, Breaker.never(), slots=slots
        )
        self.world = World(
            *(policies or (POLICY,)),
            providers={"viber_a": self.provider},
            templates=TEMPLATES,
            **world,
        )
        self.world.seconds = 0.0

    @property
    def dispatcher(self) -> Dispatcher:
        return self.world.runtime.dispatcher

    async def publish(self, event_id: str, **person: Any) -> str:
        (id,) = (await self.world.publish(event_id, **person)).messages
        return id

    async def outcome(self, message: str) -> OutcomeKind:
        return (await self.world.message(message)).attempts[0].outcome

    @property
    def at_rest(self) -> bool:
        """Nothing is under way, and every slot is free."""
        return (
            self.provider.free == self.provider.slots
            and not self.provider.taken
            and not self.dispatcher.in_flight
        )


@asynccontextmanager
async def shop(*policies: Policy, **options: Any) -> AsyncIterator[Shop]:
    made = Shop(*policies, **options)
    async with made.world:
        await made.dispatcher.start()
        try:
            yield made
        finally:
            await made.dispatcher.stop(0)


async def test_a_send_has_its_intent_before_the_call_and_its_slot_until_the_answer_is_durable() -> (
    None
):
    async with shop() as at:
        message = await at.publish("1", first_name="Olena")
        outgoing = await at.adapter.asked.get()
        assert outgoing.content["text"] == "Dear Olena"
        assert await at.outcome(message) is OutcomeKind.PENDING
        assert not at.at_rest
        at.adapter.may_answer.set()
        await at.dispatcher.stop(5)
        assert await at.outcome(message) is OutcomeKind.ACCEPTED
        assert at.at_rest


async def test_a_stopping_service_lets_a_call_finish() -> None:
    async with shop() as at:
        message = await at.publish("1", first_name="Olena")
        await at.adapter.asked.get()
        stopping = asyncio.ensure_future(at.dispatcher.stop(60))
        await asyncio.sleep(0)
        at.adapter.may_answer.set()
        await stopping
        assert await at.outcome(message) is OutcomeKind.ACCEPTED


async def test_a_call_that_does_not_finish_in_time_is_unknown_and_reported() -> None:
    async with shop() as at:
        message = await at.publish("1", first_name="Olena")
        await at.adapter.asked.get()
        await at.dispatcher.stop(0)
        await at.world.engine.stop()
        assert await at.outcome(message) is OutcomeKind.UNKNOWN
        assert at.at_rest


async def test_what_cannot_be_rendered_gives_its_slot_back() -> None:
    async with shop() as at:
        message = await at.publish("1")  # the template asks for a first name
        await at.dispatcher.stop(5)
        await at.world.engine.stop()
        assert at.at_rest
        found = await at.world.message(message)
        assert (found.attempts, found.terminal) == ([], True)


async def test_a_send_whose_intent_cannot_be_written_waits_again() -> None:
    async with shop() as at:
        enqueue = at.world.engine.enqueue
        tried: list[ApplyFact] = []

        def refuse_facts(command: Command, on_result: OnResult) -> None:
            if not isinstance(command, ApplyFact) or len(tried) >= 2:
                enqueue(command, on_result)
                return
            tried.append(command)
            on_result(StoreBusy("twice"))

        at.world.engine.enqueue = refuse_facts  # type: ignore[method-assign]
        await at.publish("1", first_name="Olena")
        assert (await at.adapter.asked.get()).content["text"] == "Dear Olena"
        assert len(tried) == 2
        at.adapter.may_answer.set()
        await at.dispatcher.stop(5)
        assert at.at_rest


async def test_what_was_decided_long_ago_is_read_again() -> None:
    async with shop() as at:
        await at.publish("1", first_name="Olena")
        await at.adapter.asked.get()  # the one slot for ordinary messages is taken
        await at.publish("2", id="ivan", first_name="Ivan", phone="+380671234567")
        at.world.seconds = RECENT_SECONDS + 0.1
        await at.world.publish(
            "3", type="shop.other", id="ivan", first_name="Ioan", phone="+380671234567"
        )
        at.adapter.may_answer.set()
        assert (await at.adapter.asked.get()).content["text"] == "Dear Ioan"
        await at.dispatcher.stop(5)


async def test_a_provider_that_a_reload_removed_still_takes_its_receipts_until_it_is_back() -> None:
    async with shop() as at:
        removed = at.provider
        await at.dispatcher.replace({}, lambda old: False)
        assert (at.dispatcher.providers, at.dispatcher.retired) == ({}, {"viber_a": removed})
        await at.dispatcher.replace({"viber_a": removed}, lambda old: False)
        assert at.dispatcher.retired == {}
        await at.dispatcher.stop(5)


async def test_a_replaced_adapter_is_closed_once_its_sends_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("old")

    async with shop() as at:
        old = at.provider
        monkeypatch.setattr(old.adapter, "close", close)
        await at.publish("1", first_name="Olena")
        await at.adapter.asked.get()  # its send is under way
        await at.dispatcher.replace({}, lambda one: False)
        at.adapter.may_answer.set()
        for _ in range(500):
            await asyncio.sleep(0.01)
            if at.at_rest:
                break
        await at.world.runtime.let_go()
        assert closed == [], "its receipts are still taken"
        at.dispatcher.forget(["viber_a"])
        old.free -= 1
        await at.world.runtime.let_go()
        assert closed == [], "a send is under way"
        old.free += 1
        await at.world.runtime.let_go()
        assert closed == ["old"]
        await at.dispatcher.stop(5)
        assert closed == ["old"]


async def test_a_text_that_is_longer_than_its_provider_takes_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited = dataclasses.replace(Waiter.supports, longest={"text": len("Dear Olena")})
    monkeypatch.setattr(Waiter, "supports", limited)
    async with shop() as at:
        too_long = await at.publish("1", id="ivan", first_name="Ivanko", phone="+380671234567")
        fits = await at.publish("2", first_name="Olena")
        assert (await at.adapter.asked.get()).message_id == fits
        at.adapter.may_answer.set()
        await at.dispatcher.stop(5)
        message = await at.world.message(too_long)
        assert (message.reason, message.attempts) == (Reason.TOO_LONG, [])
        assert message.reason_detail == "text has 11 characters, viber_a takes 10"
