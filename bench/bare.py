"""
The ceilings: the libraries alone, doing what a life cannot do without, each in a process that
measures itself.

    client port=N count=N            aiohttp posts a Viber message to the sink, 64 at a time
    serve / served                   aiohttp takes receipts, one a POST; ``served`` gives the CPU
    consume servers=A topic=T count=N   aiokafka reads records
    sqlite file=PATH rows=N          groups of 100 rows of 1 KB, synchronous=FULL
    postgres url=URL rows=N          the same, synchronous_commit=on

Each answers ``{"cpu_us": CPU microseconds a unit, "per_second": units a second}``.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
from aiohttp import web

from adapters.gateways.infobip import InfobipSettings, InfobipViber
from bench.worker import obey, run
from orchestrator.channels import Address, HttpCall, Outgoing, SecretStr

CONCURRENT = 64
GROUP = 100
ROW = os.urandom(1024)
TEXT = (
    "Олена, замовлення №000000042 на 3 601,50 ₴ вже в дорозі: Парфуми, Крем для рук. Код 000042"
    " [42]"
)


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Watch:
    """CPU and time from here on."""

    def __init__(self) -> None:
        self._cpu, self._time = cpu(), time.monotonic()

    def per(self, count: int) -> dict[str, float]:
        seconds = time.monotonic() - self._time
        return {"cpu_us": (cpu() - self._cpu) / count * 1e6, "per_second": count / seconds}


def viber_call(port: int) -> HttpCall:
    """The request that Kaskad makes of a message of the bench."""
    base_url = f"http://127.0.0.1:{port}"
    settings = InfobipSettings(
        api_key=SecretStr("bench"), sender="Shop", base_url=base_url, allow_unsigned=True
    )
    return InfobipViber(settings, "infobip").request(
        Outgoing(
            message_id="01" + "0" * 24,
            client_reference="r" * 48,
            idempotency_key="0" * 32,
            address=Address(kind="phone", value="+380500000042", hash="0" * 32),
            content={"text": TEXT},
            message_class="transactional",
            topic="bench",
            locale="uk-UA",
            ttl_seconds=3600,
            receipt_url="http://127.0.0.1:8080/v1/receipts/infobip",
            receipt_token="",
            unsubscribe_url=None,
            one_click=False,
            in_session=False,
            now=time.time(),
            entropy=b"",
        )
    )


async def client(command: dict[str, Any]) -> dict[str, float]:
    """Post the same body over and over."""
    call = viber_call(command["port"])
    left: Iterator[int] = iter(range(command["count"]))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENT)) as session:

        async def one_by_one() -> None:
            for _ in left:
                async with session.post(call.url, data=call.body, headers=call.headers) as reply:
                    await reply.read()
                    if reply.status != 200:
                        raise OSError(f"the sink answered {reply.status}")

        watch = Watch()
        await asyncio.gather(*(one_by_one() for _ in range(CONCURRENT)))
        return watch.per(command["count"])


class BareServer:
    """aiohttp with one route that reads the body and answers 200."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._count = 0

    async def _receive(self, request: web.Request) -> web.Response:
        await request.read()
        self._count += 1
        return web.Response()

    async def open(self) -> int:
        """Listen; the port."""
        app = web.Application()
        app.router.add_post("/v1/receipts/{provider}", self._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    async def serve(self, command: dict[str, Any]) -> dict[str, Any]:
        self._watch, self._count = Watch(), 0
        return {}

    async def served(self, command: dict[str, Any]) -> dict[str, Any]:
        return {**self._watch.per(max(1, self._count)), "count": self._count}


async def consume(command: dict[str, Any]) -> dict[str, float]:
    """Read records that are there already, as a group of one that does not commit."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        command["topic"],
        bootstrap_servers=command["servers"],
        auto_offset_reset="earliest",
        group_id=None,
    )
    await consumer.start()
    try:
        watch, count = Watch(), 0
        while count < command["count"]:
            found = await asyncio.wait_for(consumer.getmany(timeout_ms=1000, max_records=256), 60)
            count += sum(len(records) for records in found.values())
        return watch.per(count)
    finally:
        await consumer.stop()


async def sqlite(command: dict[str, Any]) -> dict[str, float]:
    """Rows in groups of ``GROUP``, each group durable before the next."""
    db = sqlite3.connect(command["file"], isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("create table if not exists rows (id integer primary key, body blob)")
    groups = command["rows"] // GROUP
    watch = Watch()
    for _ in range(groups):
        db.execute("begin immediate")
        db.executemany("insert into rows (body) values (?)", [(ROW,)] * GROUP)
        db.execute("commit")
    took = watch.per(groups * GROUP)
    db.close()
    return took


async def postgres(command: dict[str, Any]) -> dict[str, float]:
    """The same over one connection; the server's own CPU is not in it."""
    import asyncpg

    db = await asyncpg.connect(command["url"])
    try:
        await db.execute(
            "create table if not exists bench_rows (id bigserial primary key, body bytea)"
        )
        insert = await db.prepare("insert into bench_rows (body) select unnest($1::bytea[])")
        groups = command["rows"] // GROUP
        watch = Watch()
        for _ in range(groups):
            await insert.fetch([ROW] * GROUP)
        return watch.per(groups * GROUP)
    finally:
        await db.close()


async def main(options: dict[str, Any]) -> None:
    """``serve``: also listen, and say where."""
    server = BareServer()
    hello = {"port": await server.open()} if options.get("serve") else {}
    work = {"client": client, "consume": consume, "sqlite": sqlite, "postgres": postgres}
    await obey({**work, "serve": server.serve, "served": server.served}, hello)


if __name__ == "__main__":
    run(main)
