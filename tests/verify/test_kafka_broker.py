"""A real Kafka broker in front of a real `kaskad run` that is killed, and a broker that goes away and comes back."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.verify.installation import Installation
from tests.verify.kafka_broker import Broker, missing
from tests.verify.test_kills import POLICY, SCRIPT, TEMPLATES, TERMINAL, event

pytestmark = pytest.mark.verify

EVENTS = 600
KILLS = 5
MORE = """\
sources: {{http: {{}}, kafka: {{bootstrap_servers: "{broker}", topics: [urgent, events], group: kaskad}}}}
statuses: {{kafka: {{bootstrap_servers: "{broker}", topic: kaskad.statuses}}}}
"""


@pytest.mark.skipif(missing() is not None, reason=f"NO REAL KAFKA BROKER IN THIS RUN: {missing()}")
async def test_events_through_a_real_broker_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    await asyncio.to_thread(broker.prepare)
    await broker.start()
    try:
        await run(broker, tmp_path)
    finally:
        broker.stop()


async def run(broker: Broker, tmp_path: Path) -> None:
    chance = random.Random(7)
    place_folder = tmp_path / "place"
    place_folder.mkdir()
    place = Installation(place_folder, {"kills": POLICY}, TEMPLATES, MORE.format(broker=broker.address))
    async with place:
        await place.script(SCRIPT)
        await place.start()
        producing = asyncio.create_task(produce(broker))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            place.kill()
            await place.start()
        broker.stop()
        await asyncio.sleep(1)
        await broker.start()
        await producing
        messages = await settled(place)
        events = Counter(message["event"]["id"] for message in messages)
        assert len(events) == EVENTS
        assert set(events.values()) == {1}
        taken = Counter((one["provider"], one["address"]) for one in place.accepted())
        assert {key: count for key, count in taken.items() if count > 1} == {}
        told = await terminal_statuses(broker)
        assert {message["id"] for message in messages} <= set(told)
        print(
            f"\n{EVENTS} events, {KILLS} kills and a broker restart: {sum(taken.values())} taken, none lost, none doubled"
        )
        assert await place.drain() == 0


async def produce(broker: Broker) -> None:
    """Every event, half of them in each topic, again and again until the broker has taken it."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=True, request_timeout_ms=60_000)
    await producer.start()
    for number in range(EVENTS):
        topic = "urgent" if number % 2 else "events"
        await producer.send_and_wait(topic, json.dumps(event(2_000_000 + number)).encode(), key=str(number).encode())
        await asyncio.sleep(0.015)
    await producer.stop()


async def settled(place: Installation) -> list[dict[str, object]]:
    """Every message once all of them have ended."""
    for _ in range(120):
        async with place.session.get(f"{place.url}/v1/messages", params={"limit": "1000"}) as answer:
            messages = (await answer.json())["items"]
        if len(messages) >= EVENTS and all(message["status"] in TERMINAL for message in messages):
            return list(messages)
        await asyncio.sleep(1)
    open_ones = Counter(message["status"] for message in messages)
    raise AssertionError(f"{len(messages)} of {EVENTS} messages, {open_ones}: {place.log_tail()}")


async def terminal_statuses(broker: Broker) -> list[str]:
    """The messages whose end was told."""
    consumer = AIOKafkaConsumer("kaskad.statuses", bootstrap_servers=broker.address, auto_offset_reset="earliest")
    await consumer.start()
    told = []
    while records := await consumer.getmany(timeout_ms=4_000):
        for record in (one for found in records.values() for one in found):
            body = json.loads(record.value)
            if body["type"].startswith("kaskad.message.") and body["type"].rpartition(".")[2] in TERMINAL:
                told.append(body["subject"])
    await consumer.stop()
    return told
