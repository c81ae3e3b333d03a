"""
From one process to two on PostgreSQL, and what a life writes there.

Server, services and drivers share this machine's cores, so on a small one the second process mostly
shows that two do no harm to each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from bench import machine
from bench.figures import at_most
from bench.groups.rounds import Rounds
from bench.lives import lives
from bench.place import Service
from bench.postgres import Postgres
from bench.stage import Stage

STATISTICS_SECONDS = 2.0
"""The delay after which PostgreSQL's sessions publish their statistics."""


class Growth(Rounds):
    name = "growth"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        for key, what in (("one", "one process"), ("two", "two processes")):
            self.figure(f"pg_{key}_rate", f"a life on PostgreSQL, {what}", "/s")
            self.figure(f"pg_{key}_us", f"a life on PostgreSQL, {what} (our side)", "µs CPU")
        self.figure("pg_growth", "throughput of two processes ÷ of one", "×")
        self.figure("pg_server_us", "a life: PostgreSQL's own processes", "µs CPU")
        self.figure("pg_wal_bytes", "WAL a life", "B", at_most(8_000, aim=6_000))
        self.figure(
            "pg_versions", "row versions a life (inserted and updated)", "", at_most(11, aim=8)
        )
        self.figure("pg_deleted", "rows deleted a life", "")
        self._services: list[Service] = []

    async def turn(self) -> None:
        await self.attempt(self._all, *self.figures)

    async def _all(self) -> None:
        server = await self.stage.postgres()
        url = await server.database("growth")
        for name in ("one", "two"):
            self._services.append(await self.stage.service(f"growth-{name}", store=url))
        await lives(self.stage, self._services, 500)
        for turn in range(self.stage.repeats):
            self.stage.say(f"growth: turn {turn + 1} of {self.stage.repeats}")
            await self._measure("two", self._services, server, url)
        await self._services[1].stop()
        await lives(self.stage, self._services[:1], 300)
        for turn in range(self.stage.repeats):
            self.stage.say(f"growth: one process, turn {turn + 1} of {self.stage.repeats}")
            await self._measure("one", self._services[:1], server, url)
        one, two = self.figures["pg_one_rate"].value, self.figures["pg_two_rate"].value
        if one and two:
            self.figures["pg_growth"].values.append(two / one)

    async def _measure(
        self, key: str, services: Sequence[Service], server: Postgres, url: str
    ) -> None:
        count = self.stage.size(2_500, 1_000)
        before, cpu = await written(url), machine.family_cpu_seconds(server.pid)
        cost = await lives(self.stage, services, count)
        spent = machine.family_cpu_seconds(server.pid) - cpu
        after = await written(url)
        self.figures[f"pg_{key}_rate"].values.append(cost.per_second)
        self.figures[f"pg_{key}_us"].values.append(cost.cpu_us)
        if key == "one":
            self.figures["pg_server_us"].values.append(spent / count * 1e6)
            names = ("pg_wal_bytes", "pg_versions", "pg_deleted")
            for name, one, two in zip(names, before, after, strict=True):
                self.figures[name].values.append((two - one) / count)

    async def close(self) -> None:
        for service in self._services:
            await service.stop()


async def written(url: str) -> tuple[int, int, int]:
    """
    WAL bytes of the server, and row versions and deletions of a database, since they were made.
    """
    await asyncio.sleep(STATISTICS_SECONDS)
    connection = await asyncpg.connect(url)
    try:
        wal = await connection.fetchval("select pg_current_wal_lsn() - '0/0'")
        row = await connection.fetchrow(
            "select coalesce(sum(n_tup_ins + n_tup_upd), 0), coalesce(sum(n_tup_del), 0) from"
            " pg_stat_user_tables"
        )
    finally:
        await connection.close()
    return int(wal), int(row[0]), int(row[1])
