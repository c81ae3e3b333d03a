"""Kafka on a real port: librdkafka's own mock cluster speaks the real protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from orchestrator.core.policy import Policy, Step
from orchestrator.intake.kafka import Bounds, KafkaIntake
from orchestrator.statuses.outbox import Outbox
from orchestrator.statuses.sinks import KafkaSink
from tests.engine.world import World

SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))
PERSON = {"id": "olena", "phone": "+380501234567"}
QUICK = Bounds(session_timeout_ms=3_000)  # the mock lets nobody join until a second before the last member's session ends


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a broker."""
    admin = AdminClient({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    brokers = admin.list_topics(timeout=10).brokers
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
    del admin


@pytest.fixture
async def producer(cluster: str) -> AsyncIterator[AIOKafkaProducer]:
    found = AIOKafkaProducer(bootstrap_servers=cluster)
    await found.start()
    yield found
    await found.stop()


def event(id: str, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "shop", "type": "shop.event", "data": {"recipient": PERSON}, **more}


def intake(world: World, cluster: str, topics: list[str], group: str, dead_letters: str | None = None) -> KafkaIntake:
    return KafkaIntake(
        world.engine,
        bootstrap_servers=cluster,
        topics=topics,
        group=group,
        dead_letters=dead_letters,
        security={},
        bounds=QUICK,
    )


async def until(condition: Any, seconds: float = 30) -> None:
    """Wait until an async condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  the condition is in a store, which sends no events
            await asyncio.sleep(0.05)


async def test_structured_and_binary_records_become_messages(cluster: str, producer: AIOKafkaProducer) -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"2"), ("ce_source", b"shop"), ("ce_type", b"shop.event")]
    await producer.send_and_wait("forms", json.dumps(event("1")).encode())
    await producer.send_and_wait("forms", json.dumps({"recipient": PERSON}).encode(), headers=headers)
    async with World(SMS) as world:
        source = intake(world, cluster, ["forms"], "forms")
        await source.start()

        async def both() -> bool:
            return len(await world.store.messages()) == 2

        await until(both)
        await source.stop()
        ids = {stored.message.event_id for stored in await world.store.messages()}
        assert ids == {"1", "2"}


async def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nothing(cluster: str, producer: AIOKafkaProducer) -> None:
    for value in (
        b"{not json",
        b'{"order": 1}',
        json.dumps(event("3")).encode(),
        json.dumps(event("3", subject="x")).encode(),
    ):
        await producer.send_and_wait("poison", value)
    async with World(SMS) as world:
        source = intake(world, cluster, ["poison"], "poison", "dead")
        await source.start()

        async def three() -> bool:
            return len(await world.store.dead_letters(None, 10)) == 3

        await until(three)
        await source.stop()
        letters = await world.store.dead_letters(None, 10)
        assert sorted(letter["reason"] for letter in letters) == ["bad_json", "conflict", "not_a_cloudevent"]
        assert len(await world.store.messages()) == 1
    consumer = AIOKafkaConsumer("dead", bootstrap_servers=cluster, auto_offset_reset="earliest")
    await consumer.start()
    records = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(3)]
    await consumer.stop()
    assert {dict(record.headers)["kaskad_reason"] for record in records} == {b"bad_json", b"conflict", b"not_a_cloudevent"}


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
    async with World(SMS, tells=True) as world:
        outbox = Outbox(world.engine, world.store, [KafkaSink(cluster, "statuses", {})], lambda: world.now)
        await outbox.start()
        (id,) = (await world.publish()).messages
        await world.send(id)
        outbox.poke()
        consumer = AIOKafkaConsumer("statuses", bootstrap_servers=cluster, auto_offset_reset="earliest")
        await consumer.start()
        kinds: list[str] = []
        while "kaskad.message.succeeded" not in kinds:
            record = await asyncio.wait_for(consumer.getone(), 30)
            assert record.key == b"olena"
            kinds.append(json.loads(record.value)["type"])
        await consumer.stop()
        await outbox.stop()
        assert kinds[0] == "kaskad.message.accepted"
