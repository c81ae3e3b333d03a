"""
Sends receipts: the sink names each accepted message, and the poster reports on it as the provider
would, one receipt a POST.

    aim ports=[N] secret=S kinds=delivered|cascade|none    where to, and what
    wait count=N seconds=S   -> {"done", "statuses", …} once N receipts were answered
    flood port=N count=N     posts N delivered reports of unknown messages; answers when all are
    seconds file=PATH        -> writes how long each took, float64 seconds
    reset                    forgets what was counted

``delivered``: one delivered report for each message. ``cascade``: four of five Viber messages are
sent, then fail, and the SMS that follows is delivered; the fifth is sent, delivered and seen.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.wire import Pump, post
from bench.worker import obey, run

CONNECTIONS = 64
DELAY_SECONDS = 0.05
"""
A provider's receipt comes a little after its answer, so that it meets a message whose answer is
kept.
"""
ACCOUNT = "AC" + "0" * 32
REPORT = (
    '{{"results":[{{"bulkId":"bench","messageId":"{ref}","to":"{to}","sender":"Shop",'
    '"sentAt":"{at}","doneAt":"{at}",'
    '"messageCount":1,"price":{{"pricePerMessage":0.01,"currency":"EUR"}},'
    '"status":{status},"error":{error},'
    '"callbackData":"{ref}"}}]}}'
)
SEEN = (
    '{{"results":[{{"messageId":"{ref}","from":"Shop","to":"{to}",'
    '"sentAt":"{at}","seenAt":"{at}"}}]}}'
)
NO_ERROR = (
    '{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No'
    ' Error","permanent":false}'
)
GONE = (
    '{"groupId":1,"groupName":"HANDSET_ERRORS","id":7020,"name":"EC","description":"No'
    ' user","permanent":true}'
)
PENDING = (
    '{"groupId":1,"groupName":"PENDING","id":7,"name":"PENDING_ENROUTE","description":"Sent on"}'
)
DELIVERED = (
    '{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET",'
    '"description":"Delivered"}'
)
FAILED = (
    '{"groupId":2,"groupName":"UNDELIVERABLE","id":9,"name":"UNDELIVERABLE_NOT_DELIVERED",'
    '"description":"No"}'
)


class Poster:
    """Lines from the sink in, receipts out."""

    def __init__(self) -> None:
        self._pump: Pump | None = None
        self._kinds = "none"
        self._port = 0
        self._secret = b""

    def received(self, lines: list[bytes]) -> None:
        """A message the sink has accepted; its receipt is sent after ``DELAY_SECONDS``."""
        if self._kinds != "none" and self._pump is not None:
            asyncio.get_running_loop().call_later(DELAY_SECONDS, self._report, lines)

    def _report(self, lines: list[bytes]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
        for line in lines:
            kind, reference, to = line.decode().split(" ")
            if kind == "sms":
                self._push_sms(reference, to)
            elif self._kinds == "delivered":
                self._push_viber(viber_report(reference, to, at, DELIVERED))
            else:
                for body in cascade_reports(reference, to, at):
                    self._push_viber(body)

    def _push_viber(self, body: str) -> None:
        assert self._pump is not None
        path = "/v1/receipts/infobip"
        self._pump.push(post(f"127.0.0.1:{self._port}", path, body.encode(), "application/json"))

    def _push_sms(self, reference: str, sid: str) -> None:
        assert self._pump is not None
        place, path = f"127.0.0.1:{self._port}", f"/v1/receipts/twilio?ref={reference}"
        fields = {"AccountSid": ACCOUNT, "MessageSid": sid, "MessageStatus": "delivered"}
        signed = f"http://{place}{path}" + "".join(name + fields[name] for name in sorted(fields))
        digest = base64.b64encode(hmac.digest(self._secret, signed.encode(), hashlib.sha1)).decode()
        more = f"X-Twilio-Signature: {digest}\r\n"
        self._pump.push(
            post(place, path, urlencode(fields).encode(), "application/x-www-form-urlencoded", more)
        )

    async def do_aim(self, command: dict[str, Any]) -> dict[str, Any]:
        if self._pump is not None:
            await self._pump.close()
        self._kinds, self._port = command["kinds"], command["ports"][0]
        self._secret = command.get("secret", "").encode()
        self._pump = Pump(command["ports"])
        await self._pump.open(CONNECTIONS)
        return {}

    async def do_wait(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._pump is not None, "aim comes first"
        await self._pump.until(command["count"], command["seconds"])
        return self._pump.summary()

    async def do_flood(self, command: dict[str, Any]) -> dict[str, Any]:
        port, count = command["port"], command["count"]
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
        pump = Pump([port])
        await pump.open(CONNECTIONS)
        for number in range(count):
            body = viber_report(f"{number:048d}", "380500000042", at, DELIVERED)
            pump.push(
                post(f"127.0.0.1:{port}", "/v1/receipts/infobip", body.encode(), "application/json")
            )
        await pump.until(count, command["seconds"])
        await pump.close()
        return pump.summary()

    async def do_seconds(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._pump is not None, "aim comes first"
        await asyncio.to_thread(Path(command["file"]).write_bytes, self._pump.seconds.tobytes())
        return {}

    async def do_reset(self, command: dict[str, Any]) -> dict[str, Any]:
        if self._pump is not None:
            self._pump.done = self._pump.again = self._pump.broken = 0
            self._pump.statuses.clear()
            del self._pump.seconds[:]
        return {}


def viber_report(reference: str, to: str, at: str, status: str, error: str = NO_ERROR) -> str:
    """Infobip's delivery report for one message."""
    return REPORT.format(ref=reference, to=to, at=at, status=status, error=error)


def cascade_reports(reference: str, to: str, at: str) -> list[str]:
    """The receipts Infobip sends for a Viber message in the cascade, in order."""
    sent = viber_report(reference, to, at, PENDING)
    if zlib.crc32(reference.encode()) % 5:
        return [sent, viber_report(reference, to, at, FAILED, GONE)]
    return [
        sent,
        viber_report(reference, to, at, DELIVERED),
        SEEN.format(ref=reference, to=to, at=at),
    ]


class Feed(asyncio.Protocol):
    """The sink's lines."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._poster.received(lines)


async def main(options: dict[str, Any]) -> None:
    """``feed``: the Unix socket to listen on for the sink."""
    poster = Poster()
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Feed(poster), options["feed"]
    )
    handlers = {
        name: getattr(poster, f"do_{name}") for name in ("aim", "wait", "flood", "seconds", "reset")
    }
    await obey(handlers, {})
    server.close()


if __name__ == "__main__":
    run(main)
