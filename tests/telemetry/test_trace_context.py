"""
The publisher's trace context comes in from HTTP, batches, Kafka and the event itself; what it says
refuses no event and makes no repeat another one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import ConsumerRecord

from orchestrator.app.app import App
from orchestrator.engine.commands import Publish
from orchestrator.events.cloudevents import parse_binary, parse_structured, with_trace
from orchestrator.kafka.records import command_of
from orchestrator.primitives.ids import IdMaker
from orchestrator.primitives.trace_context import (
    TraceContext,
    is_sampled,
    parse_traceparent,
    trace_id_of,
)
from tests.app.site import Site, lay_out

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{TRACE[::-1]}-{SPAN[::-1]}-00"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "cart",
    "data": {"recipient": {"id": "olena"}},
}


def record(value: bytes, *headers: tuple[str, bytes]) -> Any:
    return ConsumerRecord(
        topic="events",
        partition=0,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=value,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=len(value),
        headers=headers,
    )


def context_of(command: Any) -> Any:
    assert isinstance(command, Publish)
    return command.event.attributes.get("traceparent")


def test_a_traceparent_is_read_as_w3c_says() -> None:
    assert parse_traceparent(HEADER) == TraceContext(TRACE, SPAN, True)
    assert parse_traceparent(OTHER) == TraceContext(TRACE[::-1], SPAN[::-1], False)
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-03-more") == TraceContext(TRACE, SPAN, True)
    assert str(TraceContext(TRACE, SPAN)) == HEADER


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "00-1",
        HEADER.upper(),
        HEADER + "-more",
        "ff" + HEADER[2:],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        HEADER + "\n",
    ],
)
def test_what_is_no_traceparent_names_no_span_and_refuses_no_event(text: Any) -> None:
    assert parse_traceparent(text) is None
    event = parse_structured(json.dumps(EVENT).encode())
    assert with_trace(event, text) is event


def test_an_events_own_context_comes_before_its_requests() -> None:
    plain = parse_structured(json.dumps(EVENT).encode())
    assert with_trace(plain, HEADER).attributes["traceparent"] == HEADER
    own = parse_structured(json.dumps({**EVENT, "traceparent": OTHER}).encode())
    assert with_trace(own, HEADER).attributes["traceparent"] == OTHER
    broken = parse_structured(json.dumps({**EVENT, "traceparent": "mine"}).encode())
    assert with_trace(broken, HEADER).attributes["traceparent"] == HEADER


def test_a_repeat_with_another_context_is_the_same_event() -> None:
    one = parse_structured(json.dumps({**EVENT, "traceparent": HEADER}).encode())
    two = parse_structured(json.dumps({**EVENT, "traceparent": OTHER, "tracestate": "a"}).encode())
    other = parse_structured(json.dumps({**EVENT, "priority": 1}).encode())
    assert one.digest == two.digest != other.digest


def test_in_binary_mode_the_context_is_a_ce_header() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "shop", "ce-type": "cart"}
    body = json.dumps(EVENT["data"]).encode()
    event = parse_binary({**headers, "ce-traceparent": HEADER, "traceparent": OTHER}, body)
    assert event.attributes["traceparent"] == HEADER


def test_in_kafka_the_context_stands_in_a_header_of_the_record_or_of_the_event() -> None:
    value = json.dumps(EVENT).encode()
    assert context_of(command_of(record(value, ("Traceparent", HEADER.encode())), 0)) == HEADER
    assert context_of(command_of(record(value, ("traceparent", b"\xff\xfe")), 0)) is None
    assert context_of(command_of(record(value), 0)) is None
    binary = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"shop"),
        ("ce_type", b"cart"),
        ("ce_traceparent", HEADER.encode()),
        ("traceparent", OTHER.encode()),
    ]
    command = command_of(record(json.dumps(EVENT["data"]).encode(), *binary), 0)
    assert context_of(command) == HEADER


async def test_over_http_one_header_holds_for_a_batch_and_is_stored_with_each_message(
    tmp_path: Path,
) -> None:
    app = App(lay_out(tmp_path), {})
    await app.start()
    try:
        async with aiohttp.ClientSession() as session:
            site = Site(app, session)
            events = [site.event(), {**site.event(), "traceparent": OTHER}]
            headers = {
                "Content-Type": "application/cloudevents-batch+json",
                "traceparent": HEADER,
            }
            url = f"{site.public}/v1/events"
            async with session.post(url, json=events, headers=headers) as answer:
                results = (await answer.json())["results"]
        stored = [await app.store.message(one["messages"][0]) for one in results]
    finally:
        await app.stop()
    assert [one.event["ce"]["traceparent"] for one in stored if one] == [HEADER, OTHER]


def test_the_publisher_decides_whether_a_message_is_traced_and_chance_if_there_is_none() -> None:
    new_id = IdMaker(lambda: 1_800_000_000_000).next
    ids = [new_id() for _ in range(2_000)]
    assert all(is_sampled(id, {"ce": {"traceparent": HEADER}}, 0.001) for id in ids)
    assert not any(is_sampled(id, {"ce": {"traceparent": OTHER}}, 1.0) for id in ids)
    assert all(is_sampled(id, {"ce": {}}, 1.0) for id in ids)
    share = sum(is_sampled(id, {}, 0.25) for id in ids) / len(ids)
    assert 0.2 < share < 0.3
    assert len({trace_id_of(id) for id in ids}) == len(ids)
