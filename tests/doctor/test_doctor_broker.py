"""The doctor at a real Apache Kafka broker, which returns the settings of its topics."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from orchestrator.doctor import Result
from tests.doctor.setup import Setup
from tests.verify.kafka_broker import Broker, missing

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


async def test_what_topics_are_set_to_is_read_and_none_is_made_by_asking(
    setup: Setup, tmp_path: Path
) -> None:
    broker = Broker(tmp_path)
    broker.prepare()
    await broker.start()
    client = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    try:
        await client.start()
        week = {"retention.ms": str(7 * 86_400_000)}
        tight = {"retention.ms": "-1", "max.message.bytes": "1000"}
        await client.create_topics(
            [
                NewTopic("events", 4, 1, topic_configs=week),
                NewTopic("tight", 2, 1, topic_configs=tight),
            ]
        )
        servers = f'bootstrap_servers: "{broker.address}"'
        setup.configure(f"sources: {{kafka: {{{servers}, topics: [events, tight, absent]}}}}\n")
        findings = [one for one in await setup.findings(processes=4) if one.area == "kafka"]
        left = set(await client.list_topics())
    finally:
        await client.close()
        broker.stop()
    results = {(one.check, one.where): one.result for one in findings}
    assert [results[check, "events"] for check in ("partitions", "retention", "record_size")] == [
        Result.FINE
    ] * 3
    assert [results[check, "tight"] for check in ("partitions", "retention", "record_size")] == [
        Result.WARNING
    ] * 3
    assert results["topic", "absent"] is Result.ERROR
    assert left == {"events", "tight"}
