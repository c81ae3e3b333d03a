"""The trace of an event over Kafka: in with its record, out with the status events."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from orchestrator.primitives.trace_context import (
    TraceContext,
    message_context,
    span_id_of,
    trace_id_of,
)
from orchestrator.statuses.outbox import Outbox
from orchestrator.statuses.sinks import KafkaSink
from orchestrator.telemetry.tracing import Span, Tracing
from tests.engine.world import World
from tests.kafka.test_kafka import SMS, cluster, event, few_words, intake, producer, until

__all__ = ["cluster", "few_words", "producer"]

PUBLISHER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


async def test_the_trace_of_a_record_is_continued_and_goes_out_with_status_events(
    cluster: str, producer: AIOKafkaProducer
) -> None:
    headers = [("traceparent", str(PUBLISHER).encode())]
    await producer.send_and_wait("traced", json.dumps(event("1")).encode(), headers=headers)
    spans: list[Span] = []
    world = World(SMS, emits_statuses=True)
    world.rules = replace(world.rules, trace_share=1.0)
    async with world:
        tracing = Tracing(spans.append, lambda: 1.0, lambda: world.now)
        published = partial(tracing.published, "kafka")
        source = intake(world, cluster, ["traced"], "traced", on_published=published)
        await source.start()

        async def one() -> bool:
            return bool(spans)

        await until(one)
        await source.stop()
        [stored] = await world.store.messages()
        sink = KafkaSink(cluster, "traced-statuses", {})
        outbox = Outbox(world.engine, world.store, [sink], lambda: world.now)
        await outbox.start()
        consumer = AIOKafkaConsumer(
            "traced-statuses", bootstrap_servers=cluster, auto_offset_reset="earliest"
        )
        await consumer.start()
        record = await asyncio.wait_for(consumer.getone(), 30)
        await consumer.stop()
        await outbox.stop()
    own = message_context(stored.message.id, stored.event, 1.0)
    assert own[:2] == (trace_id_of(stored.message.id), span_id_of(stored.message.id, "accept"))
    [publish] = spans
    assert (publish.name, publish.kind, publish.parent) == ("publish", "consumer", PUBLISHER)
    assert publish.context.trace_id == PUBLISHER.trace_id
    assert publish.links == [own]
    assert dict(record.headers)["traceparent"] == str(own).encode()
    assert json.loads(record.value)["traceparent"] == str(own)
