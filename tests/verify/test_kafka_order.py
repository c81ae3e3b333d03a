"""Topic precedence and records that cannot be processed, with a real broker."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.kafka.hostile_records import send_with_unreadable_header_name
from tests.verify.kafka_broker import Broker, missing, running, why_not
from tests.verify.kafka_group import Group, until
from tests.verify.test_kafka_group import event, names, publish

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=why_not())]

BACKLOG = 40_000
URGENT = 3_000
PASS_BY_MAX = 2_000
"""
The number of later events that may become durable between the arrival of a record in an earlier
topic and its acceptance.
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


async def test_an_earlier_topic_is_taken_first_where_both_have_a_backlog(
    broker: Broker, tmp_path: Path
) -> None:
    for topic, partitions in (("otp", 4), ("events", 12)):
        await broker.create(topic, partitions)
    await asyncio.to_thread(publish, broker, "events", 0, BACKLOG, random.Random(1))
    await asyncio.to_thread(publish, broker, "otp", 0, URGENT, random.Random(2))
    async with Group(
        broker, tmp_path / "group", ["otp", "events"], fails=0.0, pace_ms=4.0
    ) as group:
        group.start("a")

        async def urgent_ones_taken() -> bool:
            return sum(name.startswith("otp") for name in group.accepted()) == URGENT

        await until(urgent_ones_taken)
        order = [line["id"].partition("-")[0] for line in group.lines()]
        last = max(index for index, topic in enumerate(order) if topic == "otp")
        passed_by = order[:last].count("events")
        print(f"\n{URGENT} urgent before {BACKLOG} others: {passed_by} others passed by")
        assert passed_by <= PASS_BY_MAX


async def test_a_record_of_an_earlier_topic_never_waits_behind_a_backlog_of_a_later_one(
    broker: Broker, tmp_path: Path
) -> None:
    for topic, partitions in (("codes", 4), ("rest", 12)):
        await broker.create(topic, partitions)
    await asyncio.to_thread(publish, broker, "rest", 0, BACKLOG, random.Random(3))
    async with Group(
        broker, tmp_path / "group", ["codes", "rest"], fails=0.0, pace_ms=60.0
    ) as group:
        group.start("a")

        async def under_way() -> bool:
            return group.accepted().total() > 0

        await until(under_way)
        producer = AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        before = {}
        for number in range(30):
            before[f"codes-{number}"] = len(group.lines())
            await producer.send_and_wait("codes", event(f"codes-{number}"))
            await asyncio.sleep(0.1)
        await producer.stop()

        async def all_taken() -> bool:
            return before.keys() <= group.accepted().keys()

        await until(all_taken)
        order = [line["id"] for line in group.lines()]
        waits = [order.index(name) - at for name, at in before.items()]
        assert len(order) < BACKLOG, "the backlog was over: this run proves nothing"
        print(
            f"\na code in a backlog of {BACKLOG}: at most {max(waits)} others passed by, half of"
            f" them {sorted(waits)[15]}"
        )
        assert max(waits) <= PASS_BY_MAX


POISON: list[tuple[bytes | None, list[tuple[str, bytes | None]], str]] = [
    (b"{not json", [], "bad_json"),
    (b"\xff\xfe\x00", [], "bad_json"),
    (b"[]", [], "not_an_event"),
    (b'{"order": 1, "email": "olena@example.com"}', [], "not_a_cloudevent"),
    (
        json.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t"}).encode(),
        [],
        "no_recipient",
    ),
    (None, [], "no_value"),
    (b'{"x": "' + b"y" * 300_000 + b'"}', [], "too_large"),
    (
        b"{}",
        [("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("ce_source", b"s"), ("ce_type", b"t")],
        "bad_attribute",
    ),
    (b"{}", [("ce_id", b"1"), ("CE_ID", b"2"), ("ce_specversion", b"1.0")], "bad_attribute"),
    (
        b"{",
        [(f"h{number}", b"\x00\xff" * 50) for number in range(300)] + [("none", None)],
        "bad_json",
    ),
    (event("conflicting", conflicts=True), [], "conflict"),
    (event("breaking", breaks=True), [], "unprocessable"),
]


async def test_what_cannot_be_processed_goes_to_the_dead_letters_and_holds_up_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    await broker.create("mixed", 1)
    await broker.create("mixed.dead", 3)
    good = await produce_mixed(broker)
    async with Group(
        broker, tmp_path / "group", ["mixed"], fails=0.0, dead_letters="mixed.dead"
    ) as group:
        group.start("a")
        await group.caught_up()
        assert good <= set(group.accepted())
        letters = {line["letter"]: line for line in group.letters()}
        assert len(letters) == len(group.letters()) == len(POISON) + 1
        assert {line["reason"] for line in letters.values()} == {
            reason for _, _, reason in POISON
        } | {"unreadable"}
    sent = await read_all(broker, "mixed.dead", len(POISON))
    for record in sent:
        headers = dict(record.headers)
        assert headers.keys() == {"kaskad_reason", "kaskad_origin"}
        letter = letters[headers["kaskad_origin"].decode()]
        assert headers["kaskad_reason"].decode() == letter["reason"]
        assert (record.value or b"") == bytes.fromhex(letter["body"])
        assert record.key == b"a key"
    bodies = sorted(value or b"" for value, _, _ in POISON)
    assert sorted(record.value or b"" for record in sent) == bodies


async def produce_mixed(broker: Broker) -> set[str]:
    """Poison with good events between; the good ones."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    for number, (value, headers, _) in enumerate(POISON):
        await producer.send_and_wait("mixed", value, key=b"a key", headers=headers)
        await producer.send_and_wait("mixed", event(f"mixed-{number}"))
    await send_with_unreadable_header_name(producer, "mixed", 0, event("unreadable"))
    await producer.send_and_wait("mixed", event(f"mixed-{len(POISON)}"))
    await producer.stop()
    return names("mixed", len(POISON) + 1)


async def read_all(broker: Broker, topic: str, count: int) -> list[Any]:
    """All records of a topic, and that there are no more of them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(
        [
            TopicPartition(topic, number)
            for number in consumer.partitions_for_topic(topic) or range(3)
        ]
    )
    found = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]
    more = await consumer.getmany(timeout_ms=500)
    await consumer.stop()
    assert more == {}
    return found


async def test_events_of_an_aborted_transaction_are_dropped_and_offsets_pass_the_markers(
    broker: Broker, tmp_path: Path
) -> None:
    await broker.create("bank", 1)
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id="bank")
    await producer.start()
    for number in range(6):
        await producer.begin_transaction()
        await producer.send_and_wait("bank", event(f"bank-{number}"))
        await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
    await producer.stop()
    async with Group(broker, tmp_path / "group", ["bank"], fails=0.0) as group:
        group.start("a")
        await group.caught_up()
        assert set(group.accepted()) == {"bank-0", "bank-2", "bank-4"}


async def test_a_group_that_starts_at_the_latest_record_reads_on_from_there_after_a_restart(
    broker: Broker, tmp_path: Path
) -> None:
    """Also where nothing came between: else what comes while it is down would never be read."""
    await broker.create("news", 2)
    await asyncio.to_thread(publish, broker, "news", 0, 10, random.Random(5))
    async with Group(broker, tmp_path / "group", ["news"], auto_offset_reset="latest") as group:
        group.start("a")
        await group.caught_up()
        assert await group.stop("a") == 0
        await asyncio.to_thread(publish, broker, "news", 10, 10, random.Random(6))
        group.start("a")
        await group.caught_up()
        assert set(group.accepted()) == names("news", 20) - names("news", 10)
