"""
A whole life: an event comes in, one provider call, a delivered receipt comes back, the message has
succeeded.

Each receipt is a POST of its own and is answered once it is durable, so the last answer is the end
of the last life.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench import machine
from bench.figures import Bar, Figure, at_most
from bench.groups.ceilings import http_ceiling
from bench.groups.rounds import Rounds
from bench.lives import Cost, Records, lives
from bench.place import COMMAND, Service
from bench.stage import Stage

TOPIC = "bench.events"
WARM = 500


@dataclass(slots=True)
class Leg:
    """One way to live: ``source`` is http or kafka, ``store`` sqlite or postgres."""

    key: str
    what: str
    source: str
    store: str
    bar: Bar | None = None
    service: Service | None = None


class Life(Rounds):
    name = "life"
    together = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.command = COMMAND
        self.legs = [
            Leg("life_sqlite", "a life: HTTP in, SQLite", "http", "sqlite", at_most(6.0, aim=4.5)),
            Leg("life_kafka", "a life: Kafka in, SQLite", "kafka", "sqlite"),
            Leg(
                "life_postgres",
                "a life: HTTP in, PostgreSQL (our side)",
                "http",
                "postgres",
                at_most(6.5, aim=5.0),
            ),
        ]
        for leg in self.legs:
            self.figure(f"{leg.key}_us", leg.what, "µs CPU")
        self.figure("life_postgres_server_us", "a life: PostgreSQL's own processes", "µs CPU")
        for leg in self.legs:
            self.figure(f"{leg.key}_rate", leg.what, "/s")
        for leg in self.legs:
            self.figure(f"{leg.key}_calls", f"{leg.what} ÷ bare client", "×", leg.bar)
        for leg in self.legs:
            self.figure(f"{leg.key}_ratio", f"{leg.what} ÷ (bare client + bare receipt)", "×")

    def keys(self, leg: Leg) -> list[str]:
        more = ["life_postgres_server_us"] if leg.store == "postgres" else []
        return [f"{leg.key}_us", f"{leg.key}_rate", *more]

    async def open(self) -> None:
        for leg in self.legs:
            self.stage.say(f"life: starting {leg.key}")
            await self.attempt(lambda leg=leg: self.start(leg), *self.keys(leg))  # type: ignore[misc]

    async def start(self, leg: Leg) -> None:
        store, more = {}, ""
        if leg.store == "postgres":
            store = {"store": await (await self.stage.postgres()).database("life")}
        if leg.source == "kafka":
            kafka = await self.stage.kafka()
            more = (
                f'sources: {{kafka: {{bootstrap_servers: "{kafka.address}", topics: [{TOPIC}],'
                " group: bench}}"
            )
        leg.service = await self.stage.service(leg.key, more=more, command=self.command, **store)
        await self._live(leg, WARM)

    async def turn(self) -> None:
        count = self.stage.size(4_000, 1_500)
        for leg in self.legs:
            await self.attempt(lambda leg=leg: self.measure(leg, count), *self.keys(leg))  # type: ignore[misc]

    async def measure(self, leg: Leg, count: int) -> None:
        """One turn of one leg."""
        postgres = (await self.stage.postgres()).pid if leg.store == "postgres" else None
        servers = machine.family_cpu_seconds(postgres) if postgres else 0.0
        cost = await self._live(leg, count)
        self.figures[f"{leg.key}_us"].values.append(cost.cpu_us)
        self.figures[f"{leg.key}_rate"].values.append(cost.per_second)
        if postgres:
            spent = machine.family_cpu_seconds(postgres) - servers
            self.figures["life_postgres_server_us"].values.append(spent / count * 1e6)

    async def _live(self, leg: Leg, count: int) -> Cost:
        assert leg.service is not None
        source = (
            Records((await self.stage.kafka()).address, TOPIC) if leg.source == "kafka" else None
        )
        return await lives(self.stage, [leg.service], count, records=source)

    async def close(self) -> None:
        for leg in self.legs:
            if leg.service is not None:
                await leg.service.stop()

    def conclude(self, others: dict[str, Figure]) -> None:
        client = others.get("client_us")
        ceilings = {"calls": client.values if client else [], "ratio": http_ceiling(others)}
        for leg in self.legs:
            cost = self.figures[f"{leg.key}_us"]
            for name, bare in ceilings.items():
                ratio = self.figures[f"{leg.key}_{name}"]
                ratio.values = [ours / one for ours, one in zip(cost.values, bare, strict=False)]
                if not ratio.values:
                    ratio.excuse(cost, otherwise="needs the ceilings in the same run")
