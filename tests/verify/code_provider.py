"""
An SMS provider that writes down the code in each text before it says a word: ``python -m
tests.verify.code_provider PORT RECORD``.

It speaks Twilio's ``Messages.json``. What it answers follows from the last digits of the number:
refusals that have read the text, connections cut after reading, and otherwise a message that was
taken.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from uuid import uuid4

from aiohttp import web

REFUSED, CUT = "13", "14"
"""The last two digits of numbers to which it never says that it has taken anything."""
TEXT = "n={{ event.n }} m={{ message.id }} c={{ codes.code }}"
PRINTED = re.compile(r"n=(?P<n>\S+) m=(?P<message>\S+) c=(?P<code>\S*)")
REFUSAL = {"code": 21211, "message": "The 'To' number is not a valid phone number.", "status": 400}


class Provider:
    """``record`` has a line for each request, on the disk before it is answered."""

    def __init__(self, record: Path) -> None:
        self._file = record.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def take(self, request: web.Request) -> web.Response:
        form = await request.post()
        phone, text = str(form["To"]), str(form["Body"])
        printed = PRINTED.fullmatch(text)
        found = printed.groupdict() if printed else {"text": text}
        await self.write({"phone": phone, **found})
        if phone.endswith(CUT):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if phone.endswith(REFUSED):
            return web.json_response(REFUSAL, status=400)
        sid = f"SM{uuid4().hex}"
        return web.json_response({"sid": sid, "status": "queued", "to": phone}, status=201)

    async def write(self, line: dict[str, str]) -> None:
        """Return once the line is on the disk; lines that come meanwhile share the next sync."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line).encode() + b"\n", done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._sync())
        await done

    async def _sync(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            self._file.write(b"".join(line for line, _ in lines))
            self._file.flush()
            await asyncio.to_thread(os.fsync, self._file.fileno())
            for _, done in lines:
                if not done.done():  # whose sender is gone waits no more
                    done.set_result(None)


async def well(request: web.Request) -> web.Response:
    return web.Response(text="ok")


def main(port: int, record: Path) -> None:
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", Provider(record).take)
    app.router.add_get("/well", well)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
