"""
What a shop would write by hand: the same life on the same libraries, and nothing else.

A batch of events in by HTTP, a Jinja template for each, a row for each; one call by aiohttp; its
answer kept; the receipt taken and kept. It is as durable as Kaskad: every answer it gives comes
after a commit with ``synchronous=FULL``, and whatever happens in the same few milliseconds shares
one. It has no policy, no gate, no cascade, no retry, no timer, no history, and nobody checks who
calls it.

    (started with) sink=PORT file=PATH   -> {"port": N}
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import aiohttp
import jinja2
import orjson
from aiohttp import web

from bench.bare import CONCURRENT, viber_call
from bench.place import TEXT
from bench.worker import obey, run

TABLE = """
create table message (
  id text primary key, event blob, phone text, body text, state text, provider_id text, receipt blob
)
"""
NEW = "insert into message (id, event, phone, body, state) values (?, ?, ?, ?, 'new')"
SENT = "update message set state = 'sent', provider_id = ? where id = ?"
DONE = "update message set state = 'delivered', receipt = ? where id = ?"


class Writer:
    """One commit for everything that was asked for while the last one ran."""

    def __init__(self, file: str) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.execute(TABLE)
        self._waiting: list[tuple[str, Sequence[Any], asyncio.Future[None]]] = []
        self._filled = asyncio.Event()

    async def write(self, statement: str, rows: Sequence[Any]) -> None:
        """Return when the rows are durable."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, rows, written))
        self._filled.set()
        await written

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            self._filled.clear()
            batch, self._waiting = self._waiting, []
            self._db.execute("begin immediate")
            for statement, rows, _ in batch:
                self._db.executemany(statement, rows)
            await loop.run_in_executor(None, self._db.execute, "commit")
            for _, _, written in batch:
                written.set_result(None)


class Script:
    """The script: two routes and a queue."""

    def __init__(self, sink_port: int, file: str) -> None:
        call = viber_call(sink_port)
        self._url, self._headers = call.url, call.headers
        self._body = orjson.loads(call.body or b"{}")
        environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)
        environment.filters["money"] = lambda amount, currency: f"{amount:,.2f} {currency}"
        # plain Jinja takes `event.items` for the dictionary's method
        self._template = environment.from_string(TEXT.replace("event.items", "event['items']"))
        self._writer = Writer(file)
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> int:
        """Listen; the port."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENT))
        self._keep(self._writer.work())
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post("/v1/events", self._take_events)
        app.router.add_post("/v1/receipts/{provider}", self._take_receipt)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_events(self, request: web.Request) -> web.Response:
        events = orjson.loads(await request.read())
        rows = []
        for event in events:
            data = event["data"]
            text = self._template.render(event=data, recipient=data["recipient"])
            rows.append((event["id"], orjson.dumps(data), data["recipient"]["phone"], text))
        await self._writer.write(NEW, rows)
        for id, _, phone, text in rows:
            self._keep(self._send(id, phone, text))
        answers = [{"id": event["id"], "status": "accepted"} for event in events]
        return web.Response(status=202, body=orjson.dumps(answers), content_type="application/json")

    async def _send(self, id: str, phone: str, text: str) -> None:
        body = orjson.loads(orjson.dumps(self._body))
        (message,) = body["messages"]
        message["destinations"] = [{"to": phone.removeprefix("+"), "messageId": id}]
        message["content"]["text"] = text
        assert self._session is not None
        async with (
            self._slots,
            self._session.post(self._url, data=orjson.dumps(body), headers=self._headers) as reply,
        ):
            answer = orjson.loads(await reply.read())
            reply.raise_for_status()
        await self._writer.write(SENT, [(answer["messages"][0]["messageId"], id)])

    async def _take_receipt(self, request: web.Request) -> web.Response:
        body = await request.read()
        results = orjson.loads(body)["results"]
        await self._writer.write(DONE, [(body, result["messageId"]) for result in results])
        return web.Response()


async def main(options: dict[str, Any]) -> None:
    script = Script(options["sink"], options["file"])
    await obey({}, {"port": await script.open()})
    await script.close()


if __name__ == "__main__":
    run(main)
