"""
Publishes events.

    http ports=[N] first=n count=N kind=K batch=B connections=C [rate=R] [people=P] [stamps=PATH]
        POST /v1/events in batches; with ``rate`` (events a second) evenly spread, else as fast as
        they are answered. ``stamps`` gets int64 pairs: each event's number, and when its batch was
        to be sent (UTC nanoseconds)
    kafka servers=A topic=T first=n count=N kind=K
        the same events as records, structured mode

Both answer once everything was taken: ``{"accepted": n, "seconds": s, "p50", "p99", "max" (answer
times)}``.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.events import PEOPLE, batch, event
from bench.figures import quantile
from bench.wire import Pump, post
from bench.worker import obey, run

TYPE = "application/cloudevents-batch+json"
WITHIN_SECONDS = 280.0


async def http(command: dict[str, Any]) -> dict[str, Any]:
    """Publish over HTTP."""
    count, size, connections = command["count"], command["batch"], command.get("connections", 4)
    end, people = command["first"] + count, command.get("people", PEOPLE)
    stamps = array("q")
    accepted = 0

    def see(body: bytes) -> None:
        nonlocal accepted
        accepted += body.count(b'"accepted"')

    pump = Pump(command["ports"], see)
    await pump.open(connections)
    started = time.monotonic()
    sent = 0
    for first in range(command["first"], end, size):
        body = batch(first, min(size, end - first), command["kind"], people)
        if rate := command.get("rate"):
            await asyncio.sleep(max(0.0, started + sent * size / rate - time.monotonic()))
        else:
            await pump.until(sent - 2 * connections * len(command["ports"]), WITHIN_SECONDS)
        for number in range(first, min(first + size, end)):
            stamps.extend((number, time.time_ns()))
        pump.push(post("127.0.0.1", "/v1/events", body, TYPE))
        sent += 1
    await pump.until(sent, WITHIN_SECONDS)
    seconds = time.monotonic() - started
    await pump.close()
    if file := command.get("stamps"):
        await asyncio.to_thread(Path(file).write_bytes, stamps.tobytes())
    times = sorted(pump.seconds)
    spread = {
        "p50": quantile(times, 0.5),
        "p99": quantile(times, 0.99),
        "max": times[-1] if times else 0.0,
    }
    return {**pump.summary(), "accepted": accepted, "seconds": seconds, **spread}


async def kafka(command: dict[str, Any]) -> dict[str, Any]:
    """Publish to a topic; the recipient's number is the key."""
    producer = AIOKafkaProducer(bootstrap_servers=command["servers"], linger_ms=5)
    await producer.start()
    started = time.monotonic()
    try:
        sent = []
        for number in range(command["first"], command["first"] + command["count"]):
            value = event(number, command["kind"]).encode()
            sent.append(await producer.send(command["topic"], value, key=str(number).encode()))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return {"accepted": command["count"], "seconds": time.monotonic() - started}


async def main(options: dict[str, Any]) -> None:
    await obey({"http": http, "kafka": kafka}, {})


if __name__ == "__main__":
    run(main)
