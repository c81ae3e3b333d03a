"""Kafka on a real port: librdkafka's own mock cluster speaks the real protocol."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from confluent_kafka.admin import AdminClient

from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import DeadLetter
from orchestrator.kafka import Bounds, KafkaIntake
from orchestrator.kafka.records import CONTROL, command_of
from orchestrator.statuses.outbox import Outbox
from orchestrator.statuses.sinks import KafkaSink
from tests.engine.world import World
from tests.kafka.hostile_records import send_with_unreadable_header_name

SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))
PERSON = {"id": "olena", "phone": "+380501234567"}
QUICK = Bounds(
    session_timeout_ms=3_000, watch_seconds=0.2
)  # the mock lets nobody join until a second before the last member's session ends


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a broker."""
    admin = AdminClient({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    brokers = admin.list_topics(timeout=10).brokers
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
    del admin


@pytest.fixture(autouse=True)
def few_words() -> Iterator[None]:
    """Tracebacks as people read them take seconds to draw, in which nobody sends heartbeats."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def producer(cluster: str) -> AsyncIterator[AIOKafkaProducer]:
    found = AIOKafkaProducer(bootstrap_servers=cluster)
    await found.start()
    yield found
    await found.stop()


def event(id: str, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "shop",
        "type": "shop.event",
        "data": {"recipient": PERSON},
        **more,
    }


def intake(
    world: World,
    cluster: str,
    topics: list[str],
    group: str,
    dead_letters: str | None = None,
    **more: Any,
) -> KafkaIntake:
    return KafkaIntake(
        world.engine,
        bootstrap_servers=cluster,
        topics=topics,
        group=group,
        dead_letters=dead_letters,
        security={},
        bounds=QUICK,
        **more,
    )


async def until(condition: Any, seconds: float = 30) -> None:
    """Wait until an async condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  the condition is in a store, which sends no events
            await asyncio.sleep(0.05)


async def test_structured_and_binary_records_become_messages(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"2"),
        ("ce_source", b"shop"),
        ("ce_type", b"shop.event"),
    ]
    await producer.send_and_wait("forms", json.dumps(event("1")).encode())
    await producer.send_and_wait(
        "forms", json.dumps({"recipient": PERSON}).encode(), headers=headers
    )
    async with World(SMS) as world:
        source = intake(world, cluster, ["forms"], "forms")
        await source.start()

        async def both() -> bool:
            return len(await world.store.messages()) == 2

        await until(both)
        await source.stop()
        ids = {stored.message.event_id for stored in await world.store.messages()}
        assert ids == {"1", "2"}


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nothing(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    for value in (
        b"{not json",
        b'{"order": 1}',
        json.dumps(event("3")).encode(),
        json.dumps(event("3", subject="x")).encode(),
    ):
        await producer.send_and_wait(
            "poison", value, key=b"olena", headers=[("x-person", b"olena@example.com")]
        )
    async with World(SMS) as world:
        source = intake(world, cluster, ["poison"], "poison", "dead")
        await source.start()

        async def three() -> bool:
            return len(await world.store.dead_letters(None, 10)) == 3

        await until(three)
        consumer = AIOKafkaConsumer("dead", bootstrap_servers=cluster, auto_offset_reset="earliest")
        await consumer.start()
        records = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(3)]
        await consumer.stop()
        await source.stop()
        letters = {letter.origin: letter for letter in await world.store.dead_letters(None, 10)}
        assert sorted(letter.reason for letter in letters.values()) == [
            "bad_json",
            "conflict",
            "not_a_cloudevent",
        ]
        assert len(await world.store.messages()) == 1
    for record in records:
        headers = dict(record.headers)
        assert headers.keys() == {"kaskad_reason", "kaskad_origin"}
        letter = letters[headers["kaskad_origin"].decode()]
        assert headers["kaskad_reason"].decode() == letter.reason
        assert (record.key, record.value) == (b"olena", letter.body)


HOSTILE = [
    ([("ce_id", b"\xff\xfe"), ("ce_source", b"s"), ("ce_type", b"t")], "bad_attribute"),
    ([("ce_id", b"1"), ("CE_id", b"2"), ("ce_source", b"s"), ("ce_type", b"t")], "bad_attribute"),
    ([("ce_id", None), ("ce_source", b"s"), ("ce_type", b"t")], "not_a_cloudevent"),
    ([("content-type", b"application/cloudevents-batch+json")], "not_an_event"),
    ([(f"\x00{number}", b"\x00\xff\x1b[31m") for number in range(200)], "not_a_cloudevent"),
]


@pytest.mark.parametrize(("headers", "reason"), HOSTILE)
def test_hostile_headers_are_refused_or_passed_over_and_kept_as_plain_text(
    headers: list[tuple[str, bytes | None]], reason: str
) -> None:
    record = ConsumerRecord("events", 3, 42, 0, 0, None, b"{}", None, -1, 2, tuple(headers))
    letter = command_of(record, 0)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.origin, letter.body) == (reason, "kafka:events/3/42", b"{}")
    assert len(letter.headers) <= 64
    assert not any(CONTROL.search(text) for pair in letter.headers.items() for text in pair)
    assert "\x00" not in letter.detail


async def test_a_record_that_the_client_library_cannot_take_apart_is_passed_over(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait("torn", json.dumps(event("before")).encode(), partition=0)
    await send_with_unreadable_header_name(producer, "torn", 0, json.dumps(event("torn")).encode())
    await producer.send_and_wait("torn", json.dumps(event("after")).encode(), partition=0)
    async with World(SMS) as world:
        source = intake(world, cluster, ["torn"], "torn")
        await source.start()

        async def both() -> bool:
            return len(await world.store.messages()) == 2

        await until(both)
        await source.stop()
        (letter,) = await world.store.dead_letters(None, 10)
        assert (letter.reason, letter.origin) == ("unreadable", "kafka:torn/0/1")


async def test_an_earlier_topic_is_taken_first(cluster: str, producer: AIOKafkaProducer) -> None:
    """Ids rise in the order of acceptance."""
    for topic, count in (("rest", 900), ("codes", 300)):
        sent = [
            await producer.send(topic, json.dumps(event(f"{topic}-{number}")).encode())
            for number in range(count)
        ]
        await asyncio.gather(*sent)
    async with World(SMS) as world:
        counted: Counter[str] = Counter()
        source = intake(
            world,
            cluster,
            ["codes", "rest"],
            "precedence",
            on_status=lambda status: counted.update([status]),
        )
        await source.start()
        await until(lambda: right(counted["accepted"] == 1_200), 60)
        await source.stop()
        accepted = sorted(
            (one.message.id, one.message.event_id)
            for one in await world.store.messages(limit=2_000)
        )
    order = [event_id.partition("-")[0] for _, event_id in accepted]
    last_code = max(index for index, topic in enumerate(order) if topic == "codes")
    assert order[:last_code].count("rest") <= 100


async def test_a_busy_engine_is_waited_for_and_a_failing_store_is_tried_again(
    cluster: str, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.lanes.WAITING_MAX", 20)
    for number in range(200):
        await producer.send("full", json.dumps(event(f"f{number}")).encode())
    await producer.flush()
    async with World(SMS) as world:
        commit, failures = world.open_store.commit, [0]

        async def fails_now_and_then(changes: Any) -> None:
            if failures[0] < 8 and changes.created:
                failures[0] += 1
                raise OSError("the disk is away")
            await commit(changes)

        monkeypatch.setattr(world.store, "commit", fails_now_and_then)
        counted: Counter[str] = Counter()
        source = intake(
            world, cluster, ["full"], "full", on_status=lambda status: counted.update([status])
        )
        await source.start()
        await until(lambda: right(counted["accepted"] == 200), 60)
        await source.stop()
        assert len(await world.store.messages(limit=1_000)) == 200
        assert await world.store.dead_letters(None, 10) == []
        assert failures[0] == 8
        assert counted == {"accepted": 200}


async def test_what_is_connected_and_how_much_is_to_come_can_be_seen(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    for number in range(40):
        await producer.send_and_wait(
            "seen", json.dumps(event(f"s{number}")).encode(), partition=number % 4
        )
    async with World(SMS) as world:
        release = asyncio.Event()
        commit = world.open_store.commit

        async def waits(changes: Any) -> None:
            await release.wait()
            await commit(changes)

        world.open_store.commit = waits
        source = intake(world, cluster, ["seen"], "seen")
        assert (source.connected, source.lag) == (False, {})
        await source.start()
        await until(
            lambda: right(
                source.connected and source.lag == {("seen", number): 10 for number in range(4)}
            )
        )
        release.set()
        await until(lambda: right(source.lag == {("seen", number): 0 for number in range(4)}))
        await source.stop()
        assert (source.connected, source.lag) == (False, {})


async def right(value: bool) -> bool:
    return value


async def test_stopping_needs_no_broker_and_starting_waits_for_none() -> None:
    errors: list[str] = []
    async with World(SMS) as world:
        source = intake(world, "127.0.0.1:1", ["any"], "any", on_error=errors.append)
        await source.start()
        await until(lambda: right(errors == ["unreachable"]))
        await source.stop()
        assert not source.connected


async def test_offsets_are_committed_only_after_acceptance_so_a_restart_reads_on(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    async with World(SMS) as world:
        for number in range(2):
            await producer.send_and_wait("restart", json.dumps(event(f"r{number}")).encode())
            source = intake(world, cluster, ["restart"], "restart")
            await source.start()

            async def enough(count: int = number + 1) -> bool:
                return len(await world.store.messages()) == count

            await until(enough)
            await source.stop()
        statuses = [stored.message.status.value for stored in await world.store.messages()]
        assert statuses == ["accepted", "accepted"]


async def test_status_events_go_out_keyed_by_recipient(cluster: str) -> None:
    async with World(SMS, emits_statuses=True) as world:
        outbox = Outbox(
            world.engine, world.store, [KafkaSink(cluster, "statuses", {})], lambda: world.now
        )
        await outbox.start()
        (id,) = (await world.publish()).messages
        await world.send(id)
        outbox.poke()
        consumer = AIOKafkaConsumer(
            "statuses", bootstrap_servers=cluster, auto_offset_reset="earliest"
        )
        await consumer.start()
        kinds: list[str] = []
        while "kaskad.message.succeeded" not in kinds:
            record = await asyncio.wait_for(consumer.getone(), 30)
            assert record.key == b"olena"
            kinds.append(json.loads(record.value)["type"])
        await consumer.stop()
        await outbox.stop()
        assert kinds[0] == "kaskad.message.accepted"
