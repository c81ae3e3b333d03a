"""
A real Kafka broker in front of real `kaskad run` processes that are killed and stopped, and a
broker that goes away.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support import postgres
from tests.verify.installation import Installation
from tests.verify.kafka_broker import Broker, missing, running, why_not
from tests.verify.kafka_group import until
from tests.verify.test_kills import POLICY, SCRIPT, TEMPLATES, TERMINAL, event

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=why_not())]

EVENTS = 600
KILLS = 5
MORE = """\
sources: {{http: {{}}, kafka: {{bootstrap_servers: "{broker}", topics: [{topics}],
                             group: {group}}}}}
statuses: {{kafka: {{bootstrap_servers: "{broker}", topic: {group}.statuses}}}}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


def installation(folder: Path, broker: Broker, topics: list[str], group: str) -> Installation:
    folder.mkdir()
    more = MORE.format(broker=broker.address, topics=", ".join(topics), group=group)
    return Installation(folder, {"kills": POLICY}, TEMPLATES, more)


async def test_events_through_a_real_broker_are_neither_lost_nor_doubled(
    broker: Broker, tmp_path: Path
) -> None:
    chance = random.Random(7)
    async with installation(tmp_path / "place", broker, ["urgent", "events"], "one") as place:
        await place.script(SCRIPT)
        await place.start()
        producing = asyncio.create_task(produce(broker, ["urgent", "events"], 2_000_000))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            place.kill()
            await place.start()
        broker.stop()
        await asyncio.sleep(1)
        await broker.start()
        await producing
        messages = await settled([place])
        events = Counter(message["event"]["id"] for message in messages)
        assert len(events) == EVENTS
        assert set(events.values()) == {1}
        taken = Counter((one["provider"], one["address"]) for one in place.accepted())
        assert {key: count for key, count in taken.items() if count > 1} == {}
        ended = await terminal_statuses(broker, "one.statuses")
        assert {message["id"] for message in messages} <= set(ended)
        what = f"{EVENTS} events, {KILLS} kills and a broker restart"
        print(f"\n{what}: {sum(taken.values())} taken, none lost, none doubled")
        assert await place.drain() == 0


async def test_two_processes_in_one_group_share_the_events_and_cover_for_each_other(
    broker: Broker, tmp_path: Path
) -> None:
    """
    Each member has a store of its own here, so the statuses are the union of what all published:
    nothing is lost when members die or leave.
    """
    await broker.create("shared", 12)
    async with AsyncExitStack() as stack:
        places = [installation(tmp_path / name, broker, ["shared"], "two") for name in ("a", "b")]
        for place in places:
            await stack.enter_async_context(place)
            await place.script(SCRIPT)
            await place.start()
        producing = asyncio.create_task(produce(broker, ["shared"], 3_000_000))
        await asyncio.sleep(2)
        assert await places[0].drain() == 0
        await asyncio.sleep(2)
        await places[0].start()
        await asyncio.sleep(1)
        places[1].kill()
        await places[1].start()
        await producing
        messages = await settled(places)
        assert {message["event"]["id"] for message in messages} == {
            f"e-{3_000_000 + number}" for number in range(EVENTS)
        }

        async def committed_all() -> bool:
            ends = {place: end for place, end in (await broker.ends(["shared"])).items() if end}
            committed = await broker.committed("two")
            return all(committed.get(place) == end for place, end in ends.items())

        await until(committed_all)
        await until(lambda: say_so(places, "shared"), 30)
        for place in places:
            assert await place.drain() == 0


@pytest.mark.skipif(
    postgres.missing() is not None, reason=f"NO POSTGRESQL IN THIS RUN: {postgres.missing()}"
)
async def test_three_processes_on_one_database_take_every_event_once_through_rebalances(
    broker: Broker, tmp_path: Path
) -> None:
    """
    Killed, stopped and started again under load: one message an event, and nobody is sent to twice.
    """
    chance = random.Random(11)
    await broker.create("common", 12)
    with postgres.Server() as server:
        async with AsyncExitStack() as stack:
            places = [
                installation(tmp_path / name, broker, ["common"], "three")
                for name in ("a", "b", "c")
            ]
            for place in places:
                await stack.enter_async_context(place)
                on_postgres(place, server)
                await place.script(SCRIPT)
                await place.start()
            producing = asyncio.create_task(produce(broker, ["common"], 6_000_000))
            for turn in range(6):
                await asyncio.sleep(chance.uniform(0.5, 1.5))
                place = places[turn % 3]
                if turn % 2:
                    assert await place.drain() == 0
                else:
                    place.kill()
                await place.start()
            await producing
            messages = await settled(places[:1])
            events = Counter(message["event"]["id"] for message in messages)
            assert set(events) == {f"e-{6_000_000 + number}" for number in range(EVENTS)}
            assert set(events.values()) == {1}
            taken = Counter(
                (one["provider"], one["address"]) for place in places for one in place.accepted()
            )
            assert {key: count for key, count in taken.items() if count > 1} == {}
            await until(lambda: say_so(places, "common"), 30)
            print(
                f"\n{EVENTS} events, 3 processes, 3 kills, 3 stops: {sum(taken.values())} taken,"
                " none lost, none doubled"
            )
            for place in places:
                assert await place.drain() == 0


def on_postgres(place: Installation, server: postgres.Server) -> None:
    """The same installation with its store in the database."""
    written = place.config.read_text()
    place.config.write_text(written.replace("sqlite:///./kaskad.db", server.url()))


async def say_so(places: list[Installation], topic: str) -> bool:
    """
    Whether the metrics say that all are connected, share twelve partitions, and have nothing to
    come.
    """
    lags = []
    for place in places:
        async with place.session.get(f"http://127.0.0.1:{place.admin}/metrics") as answer:
            text = await answer.text()
        if "\nkaskad_kafka_connected 1.0" not in text:
            return False
        lags += re.findall(
            rf'^kaskad_kafka_consumer_lag\{{partition="(\d+)",topic="{topic}"\}} (\S+)$', text, re.M
        )
    return sorted(int(partition) for partition, _ in lags) == list(range(12)) and {
        lag for _, lag in lags
    } == {"0.0"}


async def test_without_a_broker_the_service_starts_says_so_and_takes_events_once_there_is_one(
    tmp_path: Path,
) -> None:
    late = Broker(tmp_path / "late")
    await asyncio.to_thread(late.prepare)
    async with installation(tmp_path / "place", late, ["events"], "late") as place:
        await place.script(SCRIPT)
        await place.start()  # ready: HTTP takes events even if Kafka stays away

        async def said() -> bool:
            async with place.session.get(f"http://127.0.0.1:{place.admin}/metrics") as answer:
                return 'kaskad_kafka_errors_total{error="unreachable"}' in await answer.text()

        await until(said)
        assert "no broker answers; look at `bootstrap_servers`" in place.log_tail()
        assert await place.publish(event(4_000_000)) is not None
        await late.start()
        try:
            producer = AIOKafkaProducer(bootstrap_servers=late.address)
            await producer.start()
            await producer.send_and_wait("events", json.dumps(event(4_000_001)).encode())
            await producer.stop()

            async def both() -> bool:
                async with place.session.get(f"{place.url}/v1/messages") as answer:
                    return len((await answer.json())["items"]) == 2

            await until(both)
            assert await place.drain() == 0
        finally:
            late.stop()


async def test_the_service_stops_in_time_and_cleanly_where_there_is_no_broker(
    tmp_path: Path,
) -> None:
    nobody = Broker(tmp_path / "nobody")
    async with installation(tmp_path / "place", nobody, ["events"], "nobody") as place:
        await place.start()
        assert await place.publish(event(5_000_000)) is not None
        assert await place.drain() == 0


async def produce(broker: Broker, topics: list[str], first: int) -> None:
    """Every event, in one topic after the other, again and again until the broker has taken it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.address, enable_idempotence=True, request_timeout_ms=60_000
    )
    await producer.start()
    for number in range(EVENTS):
        topic = topics[number % len(topics)]
        await producer.send_and_wait(
            topic, json.dumps(event(first + number)).encode(), key=str(number).encode()
        )
        await asyncio.sleep(0.015)
    await producer.stop()


async def settled(places: list[Installation]) -> list[dict[str, dict[str, str]]]:
    """Every message of all the places once all events have one and all of them have ended."""
    for _ in range(120):
        messages = []
        for place in places:
            async with place.session.get(
                f"{place.url}/v1/messages", params={"limit": "1000"}
            ) as answer:
                messages += (await answer.json())["items"]
        if len(messages) >= EVENTS and all(message["status"] in TERMINAL for message in messages):
            return messages
        await asyncio.sleep(1)
    open_ones = Counter(message["status"] for message in messages)
    raise AssertionError(
        f"{len(messages)} of {EVENTS} messages, {open_ones}: {places[0].log_tail()}"
    )


async def terminal_statuses(broker: Broker, topic: str) -> list[str]:
    """The messages whose end was published."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.address, auto_offset_reset="earliest"
    )
    await consumer.start()
    ended = []
    while records := await consumer.getmany(timeout_ms=4_000):
        for record in (one for found in records.values() for one in found):
            body = json.loads(record.value)
            if (
                body["type"].startswith("kaskad.message.")
                and body["type"].rpartition(".")[2] in TERMINAL
            ):
                ended.append(body["subject"])
    await consumer.stop()
    return ended
