"""Measure the libraries by themselves: a lower bound for the cost of a message."""

from __future__ import annotations

from typing import Any

from bench.figures import Figure
from bench.groups.rounds import Rounds
from bench.stage import Stage
from bench.worker import BenchError, Worker

TOPIC = "bench.ceiling"
PIECES = {
    "client": "bare aiohttp client, one Viber request",
    "server": "bare aiohttp server, one receipt",
    "kafka": "bare aiokafka consumer, one 1 KB record",
    "sqlite": "SQLite FULL, one 1 KB row in groups of 100",
    "postgres": "PostgreSQL, one 1 KB row in groups of 100 (our side)",
}


class Ceilings(Rounds):
    name = "ceilings"
    together = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        for key, what in PIECES.items():
            self.figure(f"{key}_us", what, "µs CPU")
        for key, what in PIECES.items():
            self.figure(f"{key}_rate", what, "/s")
        self._bare: Worker | None = None

    @property
    def bare(self) -> Worker:
        assert self._bare is not None, "open comes first"
        return self._bare

    async def open(self) -> None:
        self._bare = await self.stage.bare()
        await self.attempt(self._fill_topic, "kafka_us", "kafka_rate")
        await self._client(warm=True)
        await self._server(warm=True)

    async def _fill_topic(self) -> None:
        kafka = await self.stage.kafka()
        self.figures["kafka_us"].what += f" ({kafka.kind})"
        count = self.stage.size(20_000, 5_000)
        records: dict[str, Any] = {
            "servers": kafka.address,
            "topic": TOPIC,
            "first": 0,
            "count": count,
            "kind": "bench.none",
        }
        await self.stage.publisher.ask("kafka", **records)

    async def turn(self) -> None:
        await self.attempt(self._client, "client_us", "client_rate")
        await self.attempt(self._server, "server_us", "server_rate")
        await self.attempt(self._kafka, "kafka_us", "kafka_rate")
        await self.attempt(self._sqlite, "sqlite_us", "sqlite_rate")
        await self.attempt(self._postgres, "postgres_us", "postgres_rate")

    def _keep(self, key: str, found: dict[str, float]) -> None:
        self.figures[f"{key}_us"].values.append(found["cpu_us"])
        self.figures[f"{key}_rate"].values.append(found["per_second"])

    async def _client(self, warm: bool = False) -> None:
        await self.stage.poster.ask("aim", ports=[self.bare.hello["port"]], kinds="none")
        count = 500 if warm else self.stage.size(8_000, 3_000)
        found = await self.bare.ask("client", port=self.stage.sink_port, count=count)
        if not warm:
            self._keep("client", found)

    async def _server(self, warm: bool = False) -> None:
        count = 500 if warm else self.stage.size(8_000, 3_000)
        await self.bare.ask("serve")
        await self.stage.poster.ask("flood", port=self.bare.hello["port"], count=count, seconds=120)
        found = await self.bare.ask("served")
        if found["count"] != count:
            raise BenchError(f"{count} receipts were posted and {found['count']} arrived")
        if not warm:
            self._keep("server", found)

    async def _kafka(self) -> None:
        kafka = await self.stage.kafka()
        count = self.stage.size(20_000, 5_000)
        self._keep(
            "kafka", await self.bare.ask("consume", servers=kafka.address, topic=TOPIC, count=count)
        )

    async def _sqlite(self) -> None:
        file = str(self.stage.folder / "ceiling.db")
        self._keep(
            "sqlite", await self.bare.ask("sqlite", file=file, rows=self.stage.size(20_000, 5_000))
        )

    async def _postgres(self) -> None:
        server = await self.stage.postgres()
        self._keep(
            "postgres",
            await self.bare.ask("postgres", url=server.url, rows=self.stage.size(20_000, 5_000)),
        )

    async def close(self) -> None:
        if self._bare is not None:
            await self._bare.stop()


def http_ceiling(figures: dict[str, Figure]) -> list[float]:
    """
    CPU microseconds of one provider call and one receipt with the bare libraries, turn by turn.
    """
    client, server = figures.get("client_us"), figures.get("server_us")
    if client is None or server is None:
        return []
    return [ours + theirs for ours, theirs in zip(client.values, server.values, strict=False)]
