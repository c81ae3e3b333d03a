"""Digests: what comes for one person and key within a window makes one message."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.digest import JOINED_BYTES_MAX
from orchestrator.core.facts import Due, Unpreparable
from orchestrator.core.message import Status
from orchestrator.core.policy import (
    DAY_MS,
    HOUR_MS,
    Cap,
    Dedupe,
    Digest,
    Goal,
    Governance,
    Policy,
    Step,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import ApplyFact, Cancel, Erase, Publish, RetryMessage
from orchestrator.events.cloudevents import parse_structured
from orchestrator.history.replay import replay
from orchestrator.primitives.durations import rfc3339
from tests.engine.world import START, World, event
from tests.explain.tales import explain

TOPICS = Policy(
    "topics",
    "v1",
    "shop.event",
    (Step("sms"),),
    digest=Digest("event.topic", window_ms=HOUR_MS, max=4),
)


async def came(world: World, id: str, topic: Any = "sport", **more: Any) -> str:
    """Publish an event; the id of its message."""
    (message,) = (await world.publish(id, {"topic": topic, "title": id, **more})).messages
    return message


async def kept(world: World, message: str) -> list[str]:
    """The titles of the events that have joined a message."""
    found = await world.store.joined_events([message])
    return [one["title"] for one in found.get(message, [])]


def rules_of(version: str) -> Governance:
    return Governance()


async def test_what_comes_within_the_window_makes_one_message() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        world.at(1_200)
        assert await came(world, "b") == first
        other = await came(world, "c", "music")
        assert other != first, "another key is another message"
        world.at(3_599)
        assert await came(world, "d") == first
        assert await world.fire() == 0
        message = await world.message(first)
        assert (message.status, message.runs, message.joined) == (Status.ACCEPTED, [], 2)
        assert message.due_at == message.starts_at == START + HOUR_MS
        assert message.deadline_at == START + HOUR_MS + DAY_MS, "it counts from the window's end"
        assert await kept(world, first) == ["b", "d"]
        world.at(3_600)
        await world.fire()
        assert [run.channel for run in (await world.message(first)).ready()] == ["sms"]
        assert await came(world, "e") not in (first, other), "it has started"


async def test_a_repeat_joins_nothing() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        await came(world, "b")
        again = await world.publish("b", {"topic": "sport", "title": "b"})
        assert (again.status, again.messages) == ("duplicate", (first,))
        assert (await world.message(first)).joined == 1


async def test_the_end_of_the_window_and_a_join_in_one_batch_make_two_messages() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        world.at(3_600)
        due = ApplyFact(first, Due(START + HOUR_MS))
        profile = {"id": "olena", "phone": "+380501234567"}
        b, c = (event(id, {"topic": "sport"}, "shop.event", None, [profile]) for id in "bc")
        made = await world.engine.submit_many([Publish(b), due, Publish(c)])
        assert made[0].messages == made[2].messages != (first,)
        assert (await world.message(first)).joined == 0
        assert (await world.message(made[0].messages[0])).joined == 1


async def test_what_is_too_much_is_counted_and_fills_neither_table_nor_history() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "0")
        for number in range(1, 60):
            assert await came(world, str(number)) == first
        stored = await world.stored(first)
        assert (stored.message.joined, stored.message.left_out) == (3, 56)
        assert await kept(world, first) == ["1", "2", "3"]
        assert len(stored.history) < 30
        await came(world, "last")
        world.at(3_600)
        await world.fire()
        await world.send(first)
        stored = await world.stored(first)
        assert stored.message.left_out == 57
        replayed = replay(TOPICS, stored.message, stored.history, rules_of)
        assert replayed == stored.message


async def test_many_bytes_are_too_much_as_well() -> None:
    async with World(replace(TOPICS, digest=Digest(window_ms=HOUR_MS, max=200))) as world:
        first = await came(world, "0")
        for number in range(1, 12):
            await came(world, str(number), text="x" * 50_000)
        message = await world.message(first)
        assert message.joined_bytes <= JOINED_BYTES_MAX
        assert message.joined + message.left_out == 11 and message.left_out > 0


async def test_at_a_time_of_day_of_the_recipient() -> None:
    async with World(replace(TOPICS, digest=Digest(at=18 * 60))) as world:
        (first,) = (await world.publish("a", {}, time_zone="Europe/Kyiv")).messages
        at = (await world.message(first)).starts_at
        assert rfc3339(at).endswith("T16:00:00.000Z"), "18:00 in Kyiv, in winter"
        assert START < at <= START + DAY_MS


async def test_what_ends_it_while_it_gathers_lets_the_next_event_open_another() -> None:
    policy = replace(TOPICS, goal=Goal("shop.done"))
    async with World(policy) as world:
        first = await came(world, "a")
        await world.engine.submit(Cancel(first))
        second = await came(world, "b")
        await world.publish("g", {}, type="shop.done")
        assert (await world.message(second)).reason is Reason.GOAL_MET
        world.at(10)
        third = await came(world, "c")
        assert len({first, second, third}) == 3
        assert (await world.message(third)).status is Status.ACCEPTED


async def test_a_goal_that_came_before_its_event_joins_nothing() -> None:
    policy = replace(TOPICS, goal=Goal("shop.done", "goal.n == event.n"))
    async with World(policy) as world:
        first = await came(world, "a", n=1)
        await world.publish("g", {"n": 2}, type="shop.done", time=START)
        late = (await world.publish("b", {"topic": "sport", "n": 2}, time=START - 1)).messages[0]
        assert late != first
        assert (await world.message(late)).reason is Reason.GOAL_MET
        assert await came(world, "c", n=3) == first


async def test_a_duplicate_does_not_join() -> None:
    policy = replace(TOPICS, dedupe=Dedupe("event.title", DAY_MS))
    async with World(policy) as world:
        first = await came(world, "a")
        assert await came(world, "b") == first
        (again,) = (await world.publish("x", {"topic": "sport", "title": "b"})).messages
        message = await world.message(again)
        assert (message.reason, message.reason_detail) == (Reason.DEDUPLICATED, first)
        assert (await world.message(first)).joined == 1


async def test_events_of_a_later_time_make_a_digest_of_their_own() -> None:
    async def later(id: str, hours: float) -> str:
        body = {
            "specversion": "1.0",
            "id": id,
            "source": "shop",
            "type": "shop.event",
            "kaskadnotbefore": rfc3339(START + int(hours * HOUR_MS)),
            "data": {"topic": "sport", "recipient": {"id": "olena", "phone": "+380501234567"}},
        }
        made = await world.engine.submit(Publish(parse_structured(json.dumps(body).encode())))
        return str(made.messages[0])

    async with World(TOPICS) as world:
        tomorrow = await later("a", 24)
        now = await came(world, "b")
        assert await later("c", 24) == tomorrow != now
        assert await later("d", 0) == now == await came(world, "e"), "its time is here"
        assert (await world.message(tomorrow)).starts_at == START + 25 * HOUR_MS


async def test_a_digest_counts_once_for_caps() -> None:
    governance = Governance(caps=(Cap("one", 2, window_ms=DAY_MS),))
    async with World(TOPICS, governance=governance) as world:
        first = await came(world, "a")
        await came(world, "b")
        await came(world, "c")
        world.at(3_600)
        await world.fire()
        await world.send(first)
        person = await world.store.recipient("olena")
        assert person is not None and len(person["cap_usages"]) == 1


async def test_an_erasure_takes_what_has_joined_with_it() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        await came(world, "b")
        await world.engine.submit(Erase("olena"))
        assert await world.store.joined_events([first]) == {}
        assert (await world.message(first)).reason is Reason.ERASED
        assert await came(world, "c") != first


async def test_a_retry_has_what_was_gathered_without_another_window() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        await came(world, "b")
        world.at(3_600)
        await world.fire()
        broken = Unpreparable(0, Reason.TEMPLATE_ERROR, "x")
        await world.engine.submit(ApplyFact(first, broken))
        made = (await world.engine.submit(RetryMessage(first))).message
        assert [run.channel for run in (await world.message(made)).ready()] == ["sms"]
        assert await kept(world, made) == ["b"]
        assert await came(world, "c") not in (first, made)
        stored = await world.stored(made)
        assert replay(TOPICS, stored.message, stored.history, rules_of) == stored.message


async def test_the_version_that_opened_it_decides(tmp_path: Path) -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        newer = replace(TOPICS, version="v2", digest=Digest("event.topic", window_ms=60_000, max=2))
        world.engine.rules = dataclasses.replace(world.rules, policies={"topics": newer})
        assert [await came(world, id) for id in "bc"] == [first, first]
        message = await world.message(first)
        assert (message.policy_version, message.joined, message.left_out) == ("v1", 2, 0)


async def test_what_happens_inside_joins_as_well() -> None:
    seen = Policy(
        "seen",
        "v1",
        "kaskad.message.accepted",
        (Step("sms"),),
        when="event.policy == 'plain'",
        digest=Digest(window_ms=HOUR_MS),
    )
    plain = Policy("plain", "v1", "shop.event", (Step("sms"),))
    async with World(plain, seen) as world:
        for id in "abc":
            await world.publish(id)
        found = await world.store.messages(policy="seen")
        (one,) = [row.message for row in found if row.message.status is Status.ACCEPTED]
        assert (one.joined, one.hops) == (2, 1)


async def test_explain_says_what_it_gathered_and_until_when() -> None:
    async with World(TOPICS) as world:
        first = await came(world, "a")
        await came(world, "b")
        text = json.dumps(await explain(world, first))
        assert "It gathers until" in text and "2 events so far" in text
        assert "event b from" in text


@pytest.mark.parametrize("key", ["event.nothing.below", "event.absent"])
async def test_what_has_no_key_is_gathered_together(key: str) -> None:
    async with World(replace(TOPICS, digest=Digest(key, window_ms=HOUR_MS))) as world:
        assert await came(world, "a") == await came(world, "b")
