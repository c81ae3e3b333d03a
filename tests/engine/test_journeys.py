"""
Journeys in the engine: each fact is decided once, in the transaction in which it happens, and what
follows from it is sent, ended, set and published with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from orchestrator.core.facts import Unpreparable
from orchestrator.core.journey import facts
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    Entrance,
    Journey,
    JourneyEnd,
    JourneyStep,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    UntilEventStep,
    WaitStep,
)
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import Refused
from orchestrator.core.policy import Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import (
    ApplyFact,
    ApplyJourneyFact,
    Cancel,
    Erase,
    MoveJourney,
    NotRetryable,
    Publish,
    RestoreTimer,
    RetryMessage,
    UnknownJourney,
)
from orchestrator.history.journeys import (
    decode_journey_history,
    decode_run,
    replay_journey,
)
from orchestrator.history.replay import replay
from orchestrator.stores.rows import Changes
from tests.engine.test_inside import lie_once
from tests.engine.world import World, event

HOUR, DAY = 3_600_000, 86_400_000
HELLO = Policy("hello", "v1", "", (Step("viber"),), deadline_ms=HOUR)
NUDGE = Policy("nudge", "v1", "", (Step("email"),), deadline_ms=HOUR)
ENTER = Entrance("app.goal", key="event.goal")


def journey(*steps: JourneyStep, **more: Any) -> Journey:
    given: dict[str, Any] = {"enter": ENTER, "deadline_ms": 30 * DAY, **more}
    return Journey(given.pop("name", "trek"), given.pop("version", "v1"), steps=steps, **given)


@asynccontextmanager
async def playing(one: Journey, *policies: Policy, **more: Any) -> AsyncIterator[World]:
    async with World(HELLO, NUDGE, *policies, journeys=(one,), **more) as world:
        yield world


async def begin(world: World, number: str = "1", goal: str = "run", **more: Any) -> str:
    (id,) = (await world.publish(number, {"goal": goal}, type="app.goal", **more)).journeys
    return id


async def run_of(world: World, id: str) -> JourneyRun:
    found = await world.store.journey(id)
    assert found is not None
    run = decode_run(found.row.state)
    history = decode_journey_history(found.history)
    find = lambda version: world.journey_versions[run.journey, version]  # noqa: E731
    assert replay_journey(find, run, history) == run, "the history leads to another state"
    assert (found.row.status, found.row.due_at) == (str(run.status), run.due_at)
    return run


async def sent(world: World) -> list[Message]:
    """All messages, the oldest first."""
    stored = await world.store.messages(limit=1000)
    return sorted((one.message for one in stored), key=lambda one: one.id)


async def happens(world: World, number: str, type: str, **data: Any) -> Any:
    return await world.publish(number, data, type=type)


async def test_a_journey_sends_waits_and_ends_each_step_once() -> None:
    async with playing(journey(SendStep("hello"), WaitStep(DAY), SendStep("nudge"))) as world:
        id = await begin(world)
        (hello,) = await sent(world)
        assert (hello.journey, hello.policy, hello.event_id) == (id, "hello", "1")
        stored = await world.stored(hello.id)
        assert replay(HELLO, stored.message, stored.history, lambda _: Governance()) == hello
        assert (await run_of(world, id)).waiting_for == "message"
        await world.send(hello.id)
        run = await run_of(world, id)
        assert (run.place, run.waiting_for, run.due_at) == ("1", "time", world.now + DAY)
        assert await world.fire() == 0
        world.at(86_400)
        assert await world.fire() == 1
        nudge = (await sent(world))[-1]
        assert nudge.policy == "nudge"
        await world.send(nudge.id)
        run = await run_of(world, id)
        assert (str(run.status), run.finished_at) == ("completed", world.now)
        assert len(await sent(world)) == 2
        assert await world.store.due(world.now + 90 * DAY, 10) == []


async def test_a_repeated_event_begins_nothing_and_names_what_it_began() -> None:
    async with playing(journey(WaitStep(DAY))) as world:
        id = await begin(world)
        again = await world.publish("1", {"goal": "run"}, type="app.goal")
        assert (again.status, again.messages, again.journeys) == ("duplicate", (), (id,))
        assert len(await world.store.journeys()) == 1


@pytest.mark.parametrize(
    ("again", "while_it_runs", "after_its_end"),
    [("never", 0, 0), ("after_end", 0, 1), ("always", 1, 1)],
)
async def test_who_begins_with_the_same_key_again(
    again: Any, while_it_runs: int, after_its_end: int
) -> None:
    one = journey(WaitStep(DAY), enter=replace(ENTER, again=again), goal=JourneyEnd("app.done"))
    async with playing(one) as world:
        await begin(world)
        second = await world.publish("2", {"goal": "run"}, type="app.goal")
        assert len(second.journeys) == while_it_runs
        other = await world.publish("3", {"goal": "swim"}, type="app.goal")
        assert len(other.journeys) == 1
        await happens(world, "4", "app.done")
        third = await world.publish("5", {"goal": "run"}, type="app.goal")
        assert len(third.journeys) == after_its_end


async def test_who_may_never_begin_again_may_not_when_the_journey_is_long_purged() -> None:
    one = journey(WaitStep(DAY), enter=replace(ENTER, again="never"))
    async with playing(one) as world:
        await begin(world)
        world.at(86_400)
        await world.fire()
        while await world.store.purge(world.now + 200 * DAY):
            pass
        assert await world.store.journeys() == []
        assert (await world.publish("2", {"goal": "run"}, type="app.goal")).journeys == ()


async def test_an_event_of_the_same_goal_alone_ends_a_journey_and_what_it_has_under_way() -> None:
    one = journey(
        SendStep("hello"), SendStep("nudge"), goal=JourneyEnd("app.done", "goal.goal == event.goal")
    )
    async with playing(one) as world:
        id = await begin(world)
        (hello,) = await sent(world)
        other = await happens(world, "2", "app.done", goal="swim")
        assert other.status == "unmatched"
        met = await happens(world, "3", "app.done", goal="run")
        assert (met.status, met.journeys) == ("goal", (id,))
        ended = await world.message(hello.id)
        assert (ended.status, ended.reason) == (Status.CANCELLED, Reason.GOAL_MET)
        run = await run_of(world, id)
        assert (str(run.status), str(run.reason), run.open) == ("goal_met", "goal_reached", [])
        assert len(await sent(world)) == 1
        assert await world.store.unfinished_after("", 10) == []


async def test_an_exit_cancels_what_is_under_way_and_nothing_is_sent_after_it() -> None:
    one = journey(SendStep("hello"), SendStep("nudge"), exits=(JourneyEnd("app.gone"),))
    async with playing(one) as world:
        id = await begin(world)
        await happens(world, "2", "app.gone")
        run = await run_of(world, id)
        assert (str(run.status), str(run.reason), run.reason_detail) == (
            "exited",
            "exit_event",
            "app.gone",
        )
        (hello,) = await sent(world)
        assert (hello.status, hello.reason) == (Status.CANCELLED, Reason.CANCELLED)
        world.at(40 * 86_400)
        assert await world.fire() == 0


async def test_an_awaited_event_leads_on_and_is_the_event_of_what_follows() -> None:
    waits = UntilEventStep(
        "app.mile",
        "event.goal == journey.event.goal",
        7 * DAY,
        (SendStep("hello"),),
        (SendStep("nudge"),),
    )
    async with playing(journey(waits)) as world:
        id = await begin(world)
        assert (await happens(world, "2", "app.mile", goal="swim", km=1)).status == "unmatched"
        assert (await happens(world, "3", "app.mile", goal="run", km=42)).journeys == (id,)
        (message,) = await sent(world)
        stored = await world.stored(message.id)
        assert (message.policy, message.event_id) == ("hello", "3")
        assert stored.event["data"] == {"goal": "run", "km": 42}
        await happens(world, "4", "app.mile", goal="run", km=43)
        assert len(await sent(world)) == 1


async def test_what_did_not_come_in_time_leads_the_other_way() -> None:
    waits = UntilEventStep("app.mile", None, DAY, (SendStep("hello"),), (SendStep("nudge"),))
    async with playing(journey(waits)) as world:
        await begin(world)
        world.at(86_400)
        await happens(world, "2", "app.mile")
        (message,) = await sent(world)
        assert (message.policy, message.event_id) == ("nudge", "1")
        await world.fire()
        assert len(await sent(world)) == 1


async def test_a_branch_sees_what_became_of_the_message_before_it() -> None:
    branch = BranchStep((BranchArm((SendStep("nudge"),), "last.status == 'exhausted'"),))
    async with playing(journey(SendStep("hello"), branch)) as world:
        await begin(world)
        (hello,) = await sent(world)
        await world.send(hello.id, Refused(Reason.REFUSED_RECIPIENT))
        assert [one.policy for one in await sent(world)] == ["hello", "nudge"]


async def test_a_message_that_ends_as_it_starts_leads_on_at_once() -> None:
    blocked = Policy("blocked", "v1", "", (Step("web_push"),), deadline_ms=HOUR)
    one = journey(SendStep("blocked"), RepeatStep(2, (SendStep("blocked"),)), SendStep("nudge"))
    async with playing(one, blocked) as world:
        id = await begin(world)
        assert [one.policy for one in await sent(world)] == ["blocked"] * 3 + ["nudge"]
        assert (await run_of(world, id)).steps == 5


async def test_messages_that_nobody_waited_for_end_after_their_journey_did() -> None:
    one = journey(SendStep("hello", at_once=True), SendStep("nudge", at_once=True))
    async with playing(one) as world:
        id = await begin(world)
        run = await run_of(world, id)
        assert (str(run.status), len(run.open)) == ("completed", 2)
        for message in await sent(world):
            await world.send(message.id)
        assert {str(message.status) for message in await sent(world)} == {"succeeded"}
        assert (await run_of(world, id)).open == []


async def test_attributes_are_set_and_events_published_in_the_same_transaction() -> None:
    follower = Policy("follower", "v1", "crm.done", (Step("email"),), deadline_ms=HOUR)
    one = journey(
        SetStep((("miles", "(recipient.miles or 0) + 1"),)),
        SetStep((("twice", "recipient.miles * 2"),)),
        PublishStep("crm.done", (("goal", "journey.event.goal"), ("miles", "recipient.miles"))),
    )
    async with playing(one, follower, emits_statuses=True) as world:
        id = await begin(world)
        document = await world.store.recipient("olena") or {}
        assert document["attributes"] == {"miles": 1, "twice": 2}
        (message,) = await sent(world)
        assert (message.policy, message.caused_by, message.hops) == ("follower", id, 1)
        stored = await world.stored(message.id)
        assert stored.event["data"] == {
            "recipient": "olena",
            "journey": id,
            "goal": "run",
            "miles": 1,
        }
        bodies = [orjson.loads(one.body) for one in await world.store.outbox("statuses", 10)]
        assert [body["type"] for body in bodies] == [
            "kaskad.journey.running",
            "crm.done",
            "kaskad.journey.completed",
            "kaskad.message.accepted",
        ]
        assert bodies[2]["data"]["name"] == "trek"


AGAIN = journey(WaitStep(1000), enter=Entrance("kaskad.journey.completed", "event.name == 'trek'"))


async def test_the_end_of_a_journey_begins_another() -> None:
    again = AGAIN
    async with World(HELLO, journeys=(journey(WaitStep(1000)), replace(again, name="b"))) as world:
        await begin(world)
        world.at(1)
        await world.fire()
        rows = [await run_of(world, one.row.id) for one in await world.store.journeys()]
        assert [(run.journey, run.hops) for run in rows] == [("b", 1), ("trek", 0)]


async def test_a_circle_of_journeys_is_cut() -> None:
    circle = replace(AGAIN, enter=Entrance("kaskad.journey.completed", again="always"), name="c")
    async with World(HELLO, journeys=(journey(WaitStep(1)), circle)) as world:
        await begin(world)
        for second in range(1, 30):
            world.at(second)
            await world.fire()
        rows = [await run_of(world, one.row.id) for one in await world.store.journeys()]
        assert [str(run.status) for run in rows] == ["failed", *["completed"] * 9]
        assert str(rows[0].reason) == "too_many_hops"


async def test_a_cancelled_message_lets_its_journey_go_on() -> None:
    async with playing(journey(SendStep("hello"), SendStep("nudge"))) as world:
        await begin(world)
        (hello,) = await sent(world)
        await world.engine.submit(Cancel(hello.id))
        assert [one.policy for one in await sent(world)] == ["hello", "nudge"]


async def test_what_a_completed_journey_left_under_way_goes_on() -> None:
    one = journey(SendStep("hello", at_once=True), SendStep("nudge", at_once=True))
    async with playing(one) as world:
        run = await run_of(world, await begin(world))
        assert (str(run.status), len(run.open)) == ("completed", 2)
        for message in await sent(world):
            await world.send(message.id)
        assert {one.status for one in await sent(world)} == {Status.SUCCEEDED}


async def test_somebody_ends_a_journey_once() -> None:
    async with playing(journey(SendStep("hello"))) as world:
        id = await begin(world)
        ask = ApplyJourneyFact(id, facts.ExitAsked("maria"))
        assert [await world.engine.submit(ask) for _ in range(2)] == [True, False]
        run = await run_of(world, id)
        assert (str(run.status), str(run.reason), run.reason_detail) == (
            "exited",
            "exit_asked",
            "maria",
        )
        with pytest.raises(UnknownJourney):
            await world.engine.submit(replace(ask, journey="J0"))


async def test_a_message_of_a_journey_that_was_left_is_not_retried() -> None:
    async with playing(journey(SendStep("hello"), WaitStep(DAY))) as world:
        id = await begin(world)
        (hello,) = await sent(world)
        broken = Unpreparable(0, Reason.TEMPLATE_ERROR, "x")
        await world.engine.submit(ApplyFact(hello.id, broken))
        would = await world.engine.submit(RetryMessage(hello.id, dry_run=True))
        assert would.status == "would_start"
        await world.engine.submit(ApplyJourneyFact(id, facts.ExitAsked()))
        with pytest.raises(NotRetryable, match="its journey"):
            await world.engine.submit(RetryMessage(hello.id))


async def test_an_erased_person_has_no_journeys_left_and_gets_nothing_more() -> None:
    one = journey(SendStep("hello"), SendStep("nudge"), enter=replace(ENTER, again="never"))
    async with playing(one, emits_statuses=True) as world:
        await begin(world)
        await world.engine.submit(Erase("olena"))
        assert await world.store.journeys() == []
        assert await world.store.unfinished_after("", 10) == []
        (hello,) = await sent(world)
        assert (hello.status, hello.reason) == (Status.CANCELLED, Reason.ERASED)
        assert len((await world.publish("9", {"goal": "run"}, type="app.goal")).journeys) == 1


async def test_any_text_of_an_event_may_be_the_key_of_a_journey() -> None:
    one = journey(
        SetStep((("goal", "event.goal"),)),
        PublishStep("crm.set", (("goal", "event.goal"),)),
        WaitStep(DAY),
        exits=(JourneyEnd("app.stop", "exit.goal == event.goal"),),
    )
    async with playing(one, emits_statuses=True) as world:
        texts = ("a\0b", "ab", "a\0\0b", "\0", "\x1b[2J", "x" * 5_000, "x" * 5_001)
        ids = [await begin(world, str(place), text) for place, text in enumerate(texts)]
        keys = {(await run_of(world, id)).key for id in ids}
        assert len(keys) == len(texts), "what differs is another key"
        assert (await happens(world, "9", "app.stop", goal="a\0b")).journeys == (ids[0],)


async def test_nothing_follows_from_the_journeys_of_an_erased_person() -> None:
    follower = replace(HELLO, name="follower", event="kaskad.journey.exited")
    sequel = journey(SendStep("nudge"), enter=Entrance("kaskad.journey.exited"), name="sequel")
    one = journey(WaitStep(DAY))
    async with World(HELLO, NUDGE, follower, journeys=(one, sequel)) as world:
        await begin(world)
        await world.engine.submit(Erase("olena"))
        assert (await sent(world), await world.store.journeys()) == ([], [])
        assert await world.store.due(world.now + 90 * DAY, 10) == []


async def test_a_journey_without_its_timer_is_given_it_again() -> None:
    async with playing(journey(WaitStep(DAY), SendStep("hello"))) as world:
        id = await begin(world)
        (row,) = await world.store.due(world.now + DAY, 10)
        async with world.store.unit() as unit:
            await unit.commit(Changes(timers_out=[row]))
        assert await world.store.unfinished_after("", 10) == [(id, False)]
        assert await world.engine.submit(RestoreTimer(id)) is True
        assert await world.store.due(world.now + DAY, 10) == [row]
        async with world.store.unit() as unit:
            await unit.commit(Changes(timers_out=[row]))
        world.at(86_500)
        await world.engine.submit(RestoreTimer(id))
        assert [one.policy for one in await sent(world)] == ["hello"]
        await run_of(world, id)


async def test_a_run_keeps_its_version_and_moves_where_both_have_the_step() -> None:
    old = journey(WaitStep(DAY), SendStep("hello"))
    new = replace(old, version="v2", steps=(WaitStep(2 * DAY), SendStep("nudge")))
    async with playing(old) as world:
        first, second = await begin(world), await begin(world, "2", "swim")
        world.journey_versions["trek", "v2"] = new
        world.engine.rules = replace_journeys(world, (new,))
        ask = MoveJourney(first, dry_run=True)
        assert await world.engine.submit(ask) is True
        assert (await run_of(world, first)).version == "v1"
        assert await world.engine.submit(MoveJourney(first)) is True
        assert await world.engine.submit(MoveJourney(first)) is False
        run = await run_of(world, first)
        assert (run.version, run.due_at) == ("v2", world.now + 2 * DAY)
        world.at(86_400)
        await world.fire()
        assert [one.policy for one in await sent(world)] == ["hello"]
        assert (await sent(world))[0].journey == second
        assert await world.engine.submit(MoveJourney(second)) is False


def replace_journeys(world: World, journeys: Sequence[Journey]) -> Any:
    import dataclasses

    return dataclasses.replace(
        world.engine.rules,
        journeys={one.name: one for one in journeys},
        former_journey_events=world.engine.rules.journey_events,
    )


async def test_events_that_only_a_former_version_waits_for_reach_its_runs() -> None:
    old = journey(UntilEventStep("app.mile", None, DAY, (SendStep("hello"),)))
    async with playing(old) as world:
        await begin(world)
        world.engine.rules = replace_journeys(world, ())
        await happens(world, "2", "app.mile")
        assert [one.policy for one in await sent(world)] == ["hello"]


async def test_a_commit_that_failed_after_it_was_made_doubles_nothing() -> None:
    async with playing(journey(SendStep("hello"), WaitStep(DAY))) as world:
        lie_once(world)
        profile = {"id": "olena", "phone": "+380501234567"}
        command = Publish(event("1", {"goal": "run"}, "app.goal", None, [profile]))
        answer = await world.engine.submit(command)
        assert answer.status == "duplicate"
        assert len(await sent(world)) == len(await world.store.journeys()) == 1


async def test_a_person_runs_a_hundred_journeys_at_most() -> None:
    one = journey(WaitStep(DAY), enter=replace(ENTER, again="always"))
    async with playing(one) as world:
        for number in range(100):
            await begin(world, str(number))
        refused = await world.publish("x", {"goal": "run"}, type="app.goal")
        assert (refused.journeys, refused.status) == ((), "unmatched")
        assert "100 journeys" in refused.warnings[0].what
