"""Lives by the thousand: publish, wait for the last receipt's answer, and see what it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.events import ORDER
from bench.stage import Stage
from bench.worker import BenchError

BATCH = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a life (of all the services together), and lives a second."""

    cpu_us: float
    per_second: float
    sms: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """Events come by Kafka: the broker and the topic."""

    servers: str
    topic: str


class Runs(Protocol):
    """A service, ours or another's, that takes events and receipts."""

    @property
    def port(self) -> int: ...

    @property
    def cpu_seconds(self) -> float: ...


async def lives(
    stage: Stage,
    services: Sequence[Runs],
    count: int,
    *,
    kind: str = ORDER,
    kinds: str = "delivered",
    receipts: int = 1,
    records: Records | None = None,
) -> Cost:
    """
    ``count`` lives from the first event to the answer to the last receipt, ``receipts`` of them a
    life. Raises ``BenchError`` where an event was not accepted, a provider call is missing or
    repeated, or a receipt was not taken.
    """
    await stage.aim(services, kinds)
    cpu, started = total_cpu(services), time.monotonic()
    await publish(stage, services, count, kind, records)
    await stage.receipts(count * receipts)
    seconds, used = time.monotonic() - started, total_cpu(services) - cpu
    sent = await stage.sink.ask("count")
    if sent["viber"] != count or sent["strange"]:
        raise BenchError(f"{count} Viber messages were expected: {sent}")
    return Cost(used / count * 1e6, count / seconds, sent["sms"])


def total_cpu(services: Sequence[Runs]) -> float:
    return sum(service.cpu_seconds for service in services)


async def publish(
    stage: Stage,
    services: Sequence[Runs],
    count: int,
    kind: str,
    records: Records | None = None,
    **how: Any,
) -> dict[str, Any]:
    """
    Publish ``count`` new events, every one of them accepted. Raises ``BenchError``. What the
    publisher says.
    """
    first = stage.numbers(count)
    if records is not None:
        where: dict[str, Any] = {"servers": records.servers, "topic": records.topic}
        return await stage.publisher.ask("kafka", first=first, count=count, kind=kind, **where)
    options: dict[str, Any] = {
        "batch": BATCH,
        "connections": 4,
        "ports": [service.port for service in services],
        **how,
    }
    found = await stage.publisher.ask("http", first=first, count=count, kind=kind, **options)
    if found["accepted"] != count:
        raise BenchError(f"of {count} events {found['accepted']} were accepted: {found}")
    return {**found, "first": first}
