"""Whatever a record is made of, it is settled: what comes behind it is accepted, nothing leaks."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from orchestrator.core.facts import IntakeWarning
from orchestrator.engine.commands import DeadLetter
from orchestrator.kafka import KafkaIntake
from orchestrator.kafka.dead_letters import DeadLetterTopic
from orchestrator.kafka.records import command_of
from tests.engine.world import World
from tests.kafka.test_kafka import SMS, cluster, event, few_words, intake, producer, right, until

__all__ = ["cluster", "few_words", "producer"]

MANY = 600
"""More than may be in flight at once."""
HUGE = b"\xff" * 100_000
HEADERS: list[list[tuple[str, Any]]] = [
    [],
    [("ce_id", None)],
    [("ce_id", b"\xff\xfe"), ("ce_type", b"\x00")],
    [("content-type", HUGE)],
    [("x" * 30_000, HUGE)],
    [(f"h{number}", b"\x00") for number in range(2_000)],
]
"""Of records with neither key nor value."""


async def send_empty(producer: AIOKafkaProducer, topic: str, headers: list[Any]) -> None:
    """A record with neither key nor value, which the client library does not send by itself."""
    batch = producer.create_batch()
    batch.append(key=None, value=None, timestamp=None, headers=headers)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=0))


@pytest.mark.parametrize("dead_letters", [None, "dead-empty"])
async def test_any_number_of_records_without_key_and_value_hold_up_nothing(
    cluster: str, producer: AIOKafkaProducer, dead_letters: str | None
) -> None:
    topic = f"empty-{dead_letters}"
    for number in range(MANY):
        await send_empty(producer, topic, HEADERS[number] if number < len(HEADERS) else [])
    await producer.send_and_wait(topic, json.dumps(event("behind")).encode(), partition=0)
    counted: Counter[str] = Counter()
    async with World(SMS) as world:
        source = intake(
            world,
            cluster,
            [topic],
            topic,
            dead_letters,
            on_status=lambda status: counted.update([status]),
        )
        await source.start()
        await until(lambda: right(counted.total() == MANY + 1), 60)
        await until(lambda: right(is_read(source)), 60)
        assert in_flight(source) == 0
        await source.stop()
        assert counted == {"accepted": 1, "refused": MANY}
        assert len(await world.store.dead_letters(None, 1_000)) == MANY


async def test_events_with_warnings_are_counted_with_them_and_leave_nothing_in_flight(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    person = {"id": "olena", "phone": "+380501234567", "email": "olena@"}
    for number in range(MANY):
        body = json.dumps(event(f"w{number}", data={"recipient": person}))
        await producer.send("warned", body.encode(), partition=0)
    await producer.flush()
    counted: Counter[tuple[str, str]] = Counter()

    def count(status: str, *warnings: IntakeWarning) -> None:
        counted.update((status, one.field) for one in warnings)

    async with World(SMS) as world:
        source = intake(world, cluster, ["warned"], "warned", on_status=count)
        await source.start()
        await until(lambda: right(counted.total() == MANY), 60)
        await until(lambda: right(is_read(source)), 60)
        assert in_flight(source) == 0
        await source.stop()
        assert counted == {("accepted", "data.recipient.email"): MANY}


REFUSED = [
    ("future", {"time": "2099-01-01T00:00:00Z"}, "time_in_future", "send when it happened"),
    ("forged", {"type": "kaskad.message.exhausted"}, "reserved", "name your own event"),
]


@pytest.mark.parametrize(("topic", "named", "reason", "fix"), REFUSED)
async def test_a_record_that_nobody_may_send_is_a_dead_letter_with_its_reason(
    cluster: str,
    producer: AIOKafkaProducer,
    topic: str,
    named: dict[str, str],
    reason: str,
    fix: str,
) -> None:
    body = json.dumps({**event("f"), **named}).encode()
    await producer.send_and_wait(topic, body)
    async with World(SMS) as world:
        source = intake(world, cluster, [topic], topic, f"dead-{topic}")
        await source.start()

        async def letter() -> bool:
            return bool(await world.store.dead_letters(None, 10))

        await until(letter)
        await source.stop()
        (stored,) = await world.store.dead_letters(None, 10)
        assert (stored.reason, stored.body) == (reason, body)
        assert fix in stored.detail


async def test_a_callback_that_fails_settles_records_all_the_same(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    class Odd(Exception):
        pass

    def fails(word: str) -> None:
        raise Odd

    for number in range(50):
        body = b"{" if number % 2 else json.dumps(event(f"o{number}")).encode()
        await producer.send_and_wait("odd", body, partition=0)
    async with World(SMS) as world:
        source = intake(world, cluster, ["odd"], "odd", "dead-odd", on_status=fails, on_error=fails)
        await source.start()

        async def settled() -> bool:
            letters = await world.store.dead_letters(None, 100)
            return len(letters) == 25 and is_read(source)

        await until(settled, 60)
        await source.stop()
        assert len(await world.store.messages(limit=100)) == 25


def in_flight(source: KafkaIntake) -> int:
    """How many records the engine still has."""
    assert source._session is not None
    return source._session._hand_over._in_flight.total()


def is_read(source: KafkaIntake) -> bool:
    """Whether everything in the topics is durable."""
    return bool(source.lag) and not any(source.lag.values())


@pytest.mark.parametrize("error", [AssertionError, TypeError, MemoryError, KeyError])
async def test_whatever_the_dead_letter_topic_raises_the_store_has_the_letter_and_nobody_waits(
    error: type[Exception],
) -> None:
    errors: list[str] = []
    topic = DeadLetterTopic("dead", {"bootstrap_servers": "127.0.0.1:1"}, 0.2, errors.append)

    async def fails() -> AIOKafkaProducer:
        raise error

    topic._open = fails  # type: ignore[method-assign]
    await topic.send(empty(()), "bad_json")
    assert errors == ["dead_letter"]


@pytest.mark.parametrize("error", [AssertionError, KeyError, MemoryError, ZeroDivisionError])
def test_whatever_reading_a_record_raises_it_becomes_a_dead_letter(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("orchestrator.kafka.records.parse_kafka", fails)
    letter = command_of(empty(()), 0)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "unreadable"


def empty(headers: tuple[Any, ...]) -> ConsumerRecord:
    return ConsumerRecord("events", 0, 1, 0, 0, None, None, None, -1, -1, headers)
