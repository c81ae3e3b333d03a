"""
A step leaves in the transaction that made it ready, if nothing holds it; else it waits in the
backlog like any other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.core.facts import Due, Shut
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import NotSent, OutcomeKind
from orchestrator.core.policy import Cap, Governance, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.dispatch.answers import OnBreaker
from orchestrator.dispatch.rates import Rate
from orchestrator.engine.commands import ApplyFact, OptOut, Publish
from orchestrator.engine.express import just_asked
from orchestrator.stores.rows import Changes
from orchestrator.stores.sqlite.bucket import TokenBucket
from tests.core.tale import START, Tale
from tests.dispatch.test_sends import POLICY, Shop, shop
from tests.engine.world import event

PERSON: dict[str, Any] = {"first_name": "Olena"}


async def until(there: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds; at most ten seconds."""
    async with asyncio.timeout(10):
        for _ in itertools.repeat(None):
            if there():
                return
            await asyncio.sleep(0.01)


async def warm(at: Shop) -> None:
    """Send one message through the backlog: only a drained queue is passed by."""
    at.adapter.may_answer.set()
    await at.publish("warm", id="user-0", **PERSON)
    await at.adapter.asked.get()
    await until(lambda: at.at_rest and at.provider.others.drained)
    at.adapter.may_answer.clear()


def committed(at: Shop) -> list[Changes]:
    """What every batch from now on commits."""
    store, batches = at.world.open_store, []
    original = store.commit

    async def commit(changes: Changes) -> None:
        batches.append(changes)
        await original(changes)

    store.commit = commit
    return batches


async def test_event_message_and_intent_are_one_commit_without_a_row_in_the_backlog() -> None:
    async with shop() as at:
        await warm(at)
        batches = committed(at)
        message = await at.publish("1", **PERSON)
        (batch,) = batches
        assert len(batch.events) == len(batch.created) == len(batch.timers_in) == 1
        assert not batch.ready_in and not batch.ready_out and not batch.timers_out
        assert (await at.adapter.asked.get()).message_id == message
        found = await at.world.message(message)
        assert found.attempts[0].outcome is OutcomeKind.PENDING
        assert found.runs[0].sending is Sending.OPEN


async def test_both_facts_stand_in_the_history_and_the_gates_were_asked_once() -> None:
    async with shop() as at:
        await warm(at)
        message = await at.publish("1", **PERSON)
        await at.adapter.asked.get()
        lines = (await at.world.stored(message)).history
        assert [line["fact"]["kind"] for line in lines] == ["Triggered", "Prepared"]
        assert lines[1]["fact"]["at_once"] is True
        assert "checks" in lines[0] and "checks" not in lines[1]


@pytest.mark.parametrize("why", ["slots", "token", "shut", "otp", "waiting", "stopping"])
async def test_whatever_cannot_leave_at_once_waits_in_the_backlog(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop() as at:
        await warm(at)
        rates: dict[str, Rate] = at.dispatcher._rates
        match why:
            case "slots":
                at.provider.free = at.provider.reserved
            case "token":
                empty = TokenBucket(0.001, lambda: 0.0)
                await empty.take(1)
                rates["viber_a"] = Rate(empty, lambda: 0.0)
            case "shut":
                at.provider.breaker.record(OnBreaker.OPENS, at.world.now)
            case "otp":
                at.world.engine.otp_priority.__enter__()
            case "waiting":
                at.provider.others.drained = False
            case "stopping":
                at.dispatcher._stopping = True
        batches = committed(at)
        await at.publish("1", **PERSON)
        assert not batches[0].created[0].message.attempts


def test_a_step_leaves_unasked_only_after_a_decision_that_asked_the_gates_about_it() -> None:
    tale = Tale(Step("viber"))
    assert just_asked(tale.last, tale.message.runs[0])
    shut = tale.apply(60, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + 90_000))
    assert tale.ready == [(0, "viber_b")]
    assert not just_asked(shut, tale.message.runs[0]), "an hour may have passed since they were"
    throttled = Tale(Step("viber"))
    number = throttled.send(1, NotSent(Reason.THROTTLED, 3_600_000))
    assert throttled.ready == [(0, "viber_b")] and number == 0
    assert not just_asked(throttled.last, throttled.message.runs[0])


async def test_an_opt_out_in_the_same_batch_holds_before_the_event_leaves() -> None:
    async with shop(slots=9) as at:
        await warm(at)
        profiles = [{"id": f"user-{n}", "phone": f"+38050123456{n}", **PERSON} for n in (1, 2)]
        events = [event(p["id"], {}, "shop.event", None, [p]) for p in profiles]
        batches = committed(at)
        results = await at.world.engine.submit_many(
            [*map(Publish, events), OptOut(recipient="user-2")]
        )
        assert len(batches) == 1
        left = {row.message.id: bool(row.message.attempts) for row in batches[0].created}
        assert [left[result.messages[0]] for result in results[:2]] == [True, False]


async def test_a_batch_that_fails_calls_nobody_and_frees_slot_and_row() -> None:
    async with shop() as at:
        await warm(at)
        store = at.world.open_store
        original, failures = store.commit, [RuntimeError("broken")]

        async def commit(changes: Changes) -> None:
            if failures:
                raise failures.pop()
            await original(changes)

        store.commit = commit
        with pytest.raises(RuntimeError):
            await at.publish("1", **PERSON)
        assert at.at_rest and at.adapter.asked.empty()
        await at.publish("2", **PERSON)
        assert (await at.adapter.asked.get()).content["text"] == "Dear Olena"


async def test_an_intent_that_cannot_be_decided_frees_its_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shop() as at:
        await warm(at)

        def broken(*given: Any, **named: Any) -> None:
            raise RuntimeError("broken")

        with monkeypatch.context() as patched:
            patched.setattr("orchestrator.engine.express.apply_fact", broken)
            with pytest.raises(RuntimeError):
                await at.publish("1", **PERSON)
        assert at.at_rest and at.adapter.asked.empty()


async def test_what_cannot_be_rendered_is_left_to_the_backlog_and_reported_there() -> None:
    async with shop() as at:
        await warm(at)
        message = await at.publish("1")
        await until(lambda: at.at_rest and at.provider.others.drained)
        found = await at.world.message(message)
        assert (found.terminal, found.attempts) == (True, [])


async def test_the_next_step_of_a_cascade_leaves_with_the_fact_that_starts_it() -> None:
    steps = (Step("viber", wait=(("delivered", 60_000),)), Step("viber"))
    async with shop(replace(POLICY, cascade=steps)) as at:
        await warm(at)
        at.adapter.may_answer.set()
        message = await at.publish("1", **PERSON)
        await at.adapter.asked.get()
        await until(lambda: at.at_rest)
        due_at = (await at.world.message(message)).due_at
        assert due_at is not None
        batches = committed(at)
        at.world.at(61)
        await at.world.engine.submit(ApplyFact(message, Due(due_at)))
        changed = {row.message.id: row.message for row in batches[0].changed}
        assert len(changed[message].attempts) == 2


async def test_two_messages_of_one_event_share_a_cap() -> None:
    capped = Governance(caps=(Cap("one", 1, window_ms=86_400_000),))
    policies = [replace(POLICY, name=name) for name in ("order", "another")]
    async with shop(*policies, slots=9, governance=capped) as at:
        at.adapter.may_answer.set()
        await at.world.publish("warm", id="user-0", **PERSON)
        await until(lambda: at.at_rest and at.provider.others.drained)
        batches = committed(at)
        await at.world.publish("1", **PERSON)
        assert [len(row.message.attempts) for row in batches[0].created] == [1, 0]


async def test_a_burst_larger_than_the_slots_leaves_slot_by_slot_without_a_backlog() -> None:
    async with shop(slots=4) as at:
        await warm(at)
        at.adapter.may_answer.set()
        profiles = [{"id": f"u{n}", "phone": f"+3805012345{n:02}", **PERSON} for n in range(30)]
        batches = committed(at)
        await at.world.engine.submit_many(
            [Publish(event(p["id"], {}, "shop.event", None, [p])) for p in profiles]
        )
        await until(lambda: at.at_rest)
        assert not [row for batch in batches for row in batch.ready_in]


async def test_events_are_accepted_though_no_slot_comes_free() -> None:
    async with shop() as at:
        await warm(at)
        at.provider.free = at.provider.reserved
        ids = [await at.publish(str(n), **PERSON) for n in range(3)]
        assert len(set(ids)) == 3
