"""
The providers that everything here is sent to: Infobip's Viber and Twilio's SMS, as much of them as
an answer needs.

A raw protocol in a process of its own. It answers "accepted" with ids from the request, counts,
stamps the first request of each marked message (``[number]`` in its text) with the wall clock, and
sends the poster of receipts a line ``kind reference destination`` for each accepted message.

    count                  -> {"viber": n, "sms": n, "first_ns": ns, "last_ns": ns}
    stamps file=PATH       -> writes int64 pairs (number, UTC nanoseconds)
    reset                  forgets all of it
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from array import array
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from bench.wire import Framer, answer
from bench.worker import obey, run

VIBER = re.compile(rb'"to":\s*"(\d+)",\s*"messageId":\s*"([^"]+)"')
MARK = re.compile(rb"\[(\d+)\]")
INFOBIP = (
    b'{"bulkId":"bench","messages":[{"messageId":"%b","status":{"groupId":1,"groupName":"PENDING",'
    b'"id":26,"name":"PENDING_ACCEPTED","description":"Message'
    b' accepted, pending for delivery."},"destination":"%b"}]}'
)
TWILIO = (
    b'{"sid":"SM%032x","account_sid":"%b","to":"%b","status":"queued",'
    b'"direction":"outbound-api","error_code":null,'
    b'"error_message":null,"num_segments":"1","price":null}'
)


class Sink:
    """Accepted requests. ``feed`` gets a line for each."""

    def __init__(self) -> None:
        self.feed: asyncio.Transport | None = None
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        self.viber = self.sms = self.strange = 0
        self.first_ns = self.last_ns = 0
        self.stamps: dict[int, int] = {}

    def answer(self, head: bytes, body: bytes) -> bytes:
        """The provider's answer to one request."""
        if head.startswith(b"POST /viber/2/messages "):
            return self._viber(body)
        if head.startswith(b"POST /2010-04-01/Accounts/"):
            return self._sms(head, body)
        self.strange += 1
        return answer("404 Not Found", b"{}")

    def _viber(self, body: bytes) -> bytes:
        found = VIBER.search(body)
        if found is None:
            self.strange += 1
            return answer("400 Bad Request", b"{}")
        self.viber += 1
        now = self._stamp()
        mark = MARK.search(body)
        if mark is not None:
            self.stamps.setdefault(int(mark.group(1)), now)
        to, reference = found.groups()
        self._report(b"viber %b %b\n" % (reference, to))
        return answer("200 OK", INFOBIP % (reference, to))

    def _sms(self, head: bytes, body: bytes) -> bytes:
        form = parse_qs(body.decode("ascii", "replace"))
        if "StatusCallback" not in form or "To" not in form:
            self.strange += 1
            return answer("400 Bad Request", b"{}")
        reference = parse_qs(urlsplit(form["StatusCallback"][0]).query).get("ref", [""])[0]
        to, account = form["To"][0].encode(), head.split(b"/", 4)[3]
        number = next(self._numbers)
        self.sms += 1
        self._stamp()
        self._report(b"sms %b SM%032x\n" % (reference.encode(), number))
        return answer("201 Created", TWILIO % (number, account, to))

    def _stamp(self) -> int:
        now = time.time_ns()
        self.first_ns = self.first_ns or now
        self.last_ns = now
        return now

    def _report(self, line: bytes) -> None:
        if self.feed is not None:
            self.feed.write(line)

    async def do_count(self, command: dict[str, Any]) -> dict[str, Any]:
        names = ("viber", "sms", "strange", "first_ns", "last_ns")
        return {name: getattr(self, name) for name in names}

    async def do_stamps(self, command: dict[str, Any]) -> dict[str, Any]:
        pairs = array("q", itertools.chain.from_iterable(self.stamps.items()))
        await asyncio.to_thread(Path(command["file"]).write_bytes, pairs.tobytes())
        return {"stamps": len(self.stamps)}

    async def do_reset(self, command: dict[str, Any]) -> dict[str, Any]:
        self.reset()
        return {}


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._framer = Framer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for head, body in self._framer.feed(data):
            self._transport.write(self._sink.answer(head, body))


async def main(options: dict[str, Any]) -> None:
    """``feed``: the Unix socket of the poster of receipts, if there is one."""
    sink = Sink()
    loop = asyncio.get_running_loop()
    if options.get("feed"):
        sink.feed, _ = await loop.create_unix_connection(asyncio.Protocol, options["feed"])
    server = await loop.create_server(lambda: Connection(sink), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await obey(
        {"count": sink.do_count, "stamps": sink.do_stamps, "reset": sink.do_reset}, {"port": port}
    )
    server.close()


if __name__ == "__main__":
    run(main)
