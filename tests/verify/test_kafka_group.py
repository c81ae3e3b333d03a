"""
Two and three members of one consumer group in front of a real broker: joining, leaving, killed,
frozen, while busy.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.verify.kafka_broker import Broker, missing, running, why_not
from tests.verify.kafka_group import Group, until

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=why_not())]

SEED = int(os.environ.get("SEED", "20261125"))
RECORDS = int(os.environ.get("RECORDS", "18000"))
TURNS = int(os.environ.get("TURNS", "10"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


def event(id: str, **more: object) -> bytes:
    data = {"recipient": {"id": "olena"}}
    return json.dumps(
        {"specversion": "1.0", "id": id, "source": "shop", "type": "t", "data": data, **more}
    ).encode()


def publish(
    broker: Broker,
    topic: str,
    first: int,
    count: int,
    chance: random.Random,
    compression: str = "none",
) -> None:
    """
    Events with random keys, a third without any, over all partitions; returns when the broker has
    them all.
    """
    settings = {
        "bootstrap.servers": broker.address,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
    }
    producer = Producer(
        settings | {"compression.type": compression, "queue.buffering.max.messages": 1_000_000}
    )
    failed: list[object] = []
    for number in range(first, first + count):
        key = None if chance.random() < 1 / 3 else f"k{chance.randrange(200)}"
        report = lambda error, _: failed.append(error) if error else None  # noqa: E731
        producer.produce(topic, event(f"{topic}-{number}"), key, on_delivery=report)
        producer.poll(0)
    assert producer.flush(90) == 0
    assert not failed


def names(topic: str, count: int) -> set[str]:
    return {f"{topic}-{number}" for number in range(count)}


async def publish_slowly(broker: Broker, topic: str, count: int, chance: random.Random) -> None:
    """In sixty helpings, so that there is something to read all the time."""
    helping = count // 60
    for first in range(0, count, helping):
        await asyncio.to_thread(publish, broker, topic, first, min(helping, count - first), chance)
        await asyncio.sleep(0.3)


async def test_members_come_and_go_while_busy_and_nothing_is_lost(
    broker: Broker, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"\nseed {SEED}")
    await broker.create("busy", 12)
    done: list[str] = []
    async with Group(broker, tmp_path / "group", ["busy"]) as group:
        publishing = asyncio.create_task(
            publish_slowly(broker, "busy", RECORDS, random.Random(SEED))
        )
        group.start("a")
        for turn in range(TURNS):
            await asyncio.sleep(chance.uniform(0.5, 2.5))
            done.append(await one_turn(group, chance, turn))
        await publishing
        for name in ("a", "b"):
            if name not in group.alive():
                group.start(name)
        await group.caught_up()
        for name in group.alive():
            assert await group.stop(name) == 0, group.log_tail(name)
        accepted = group.accepted()
        assert set(accepted) == names("busy", RECORDS)
        assert await broker.members(group.name) == 0
        repeats = sum(count - 1 for count in accepted.values())
        print(
            f"{RECORDS} records, 12 partitions: {done}; none lost, {repeats} repeats that a store"
            " knows"
        )


async def one_turn(group: Group, chance: random.Random, turn: int) -> str:
    """
    Something happens to the group; it may be that a frozen member wakes up after it was thrown out.
    """
    alive = group.alive()
    if turn == TURNS // 2:
        group.broker.stop()
        await asyncio.sleep(1)
        await group.broker.start()
        return "broker restarted"
    if len(alive) < 2 or (len(alive) == 2 and chance.random() < 0.4):
        name = next(one for one in ("a", "b", "c") if one not in alive)
        group.start(name)
        return f"{name} joined"
    name = chance.choice(alive)
    match chance.choice(("killed", "left", "frozen")):
        case "killed":
            group.kill(name)
            return f"{name} killed"
        case "left":
            assert await group.stop(name) == 0, group.log_tail(name)
            return f"{name} left"
        case _:
            group.freeze(name)
            await asyncio.sleep(
                9
            )  # past its session, so that the others have its partitions when it wakes up
            group.thaw(name)
            return f"{name} frozen and woken"


async def test_two_members_share_the_partitions_and_one_that_leaves_is_replaced_at_once(
    broker: Broker, tmp_path: Path
) -> None:
    await broker.create("shared", 12)
    async with Group(
        broker, tmp_path / "group", ["shared"], fails=0.0, bounds={"session_timeout_ms": 60_000}
    ) as group:
        group.start("a")
        group.start("b")

        async def shared() -> bool:
            return len(group.state("a")["lag"]) == 6 and len(group.state("b")["lag"]) == 6

        await until(shared)
        await asyncio.to_thread(publish, broker, "shared", 0, 3_000, random.Random(1))
        await group.caught_up()
        assert min(group.accepted_by().values()) > 0
        assert len(group.accepted_by()) == 2
        assert set(group.accepted().values()) == {1}
        assert await group.stop("b") == 0

        async def taken_over() -> bool:
            return len(group.state("a")["lag"]) == 12

        await until(
            taken_over, 30
        )  # its session of a minute would have to run out if it had not said goodbye
        await asyncio.to_thread(publish, broker, "shared", 3_000, 1_000, random.Random(2))
        await group.caught_up()
        assert set(group.accepted()) == names("shared", 4_000)


async def test_a_blocked_store_pauses_reading_and_costs_no_membership(
    broker: Broker, tmp_path: Path
) -> None:
    """Longer than the poll interval after which a process that does not poll leaves its group."""
    await broker.create("blocked", 12)
    bounds = {"max_poll_interval_ms": 3_000, "records_max": 200, "in_flight_max": 100}
    async with Group(broker, tmp_path / "group", ["blocked"], fails=0.0, bounds=bounds) as group:
        (group.folder / "blocked").touch()
        group.start("a")
        await asyncio.to_thread(publish, broker, "blocked", 0, 5_000, random.Random(3))

        async def reading() -> bool:
            return bool(sum(lag for *_, lag in group.state("a")["lag"]) == 5_000)

        await until(reading)
        before = group.log_tail("a").count("kafka.partitions_assigned")
        await asyncio.sleep(10)
        assert await broker.members(group.name) == 1
        assert group.state("a")["connected"]
        assert not group.accepted()
        (group.folder / "blocked").unlink()
        await group.caught_up()
        assert set(group.accepted()) == names("blocked", 5_000)
        assert set(group.accepted().values()) == {1}
        assert group.log_tail("a").count("kafka.partitions_assigned") == before == 1


async def test_a_rebalance_waits_for_a_blocked_store_no_longer_than_its_bound(
    broker: Broker, tmp_path: Path
) -> None:
    await broker.create("waiting", 12)
    async with Group(
        broker, tmp_path / "group", ["waiting"], fails=0.0, bounds={"in_flight_max": 100}
    ) as group:
        (group.folder / "blocked").touch()
        group.start("a")
        await asyncio.to_thread(publish, broker, "waiting", 0, 2_000, random.Random(4))

        async def stuck() -> bool:
            return bool(sum(lag for *_, lag in group.state("a")["lag"]) == 2_000)

        await until(stuck)
        group.start("b")

        async def shared() -> bool:
            return len(group.state("a")["lag"]) == 6 and len(group.state("b")["lag"]) == 6

        await until(shared)
        assert set((await broker.committed(group.name)).values()) <= {0}
        (group.folder / "blocked").unlink()
        await group.caught_up()
        assert set(group.accepted()) == names("waiting", 2_000)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_that_producers_use_is_read(
    broker: Broker, tmp_path: Path, compression: str
) -> None:
    await broker.create(compression, 4)
    async with Group(broker, tmp_path / "group", [compression]) as group:
        await asyncio.to_thread(publish, broker, compression, 0, 500, random.Random(5), compression)
        group.start("a")
        await group.caught_up()
        assert set(group.accepted()) == names(compression, 500)
