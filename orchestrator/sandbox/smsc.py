"""
A stand-in for an SMSC: transceiver binds over SMPP 3.4, receipts over the bind that sent.

Reference: SMPP 3.4, sections 3.2, 4.1, 4.4, 4.6, appendix B. Quirks kept: the id is hexadecimal in
the answer and decimal in the receipt; a text may come as a payload; what the script wants before
the answer comes before it. A scripted refusal is a status in hexadecimal (``0x0b``).
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

from orchestrator.sandbox.accounts import SMSC
from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item
from orchestrator.sandbox.script import Planned, RequestBehaviour, canonical
from orchestrator.sandbox.standin import Common, same_secret, tracked_link

NAME, CHANNEL = SMSC, "sms"
HEADER = struct.Struct("!IIII")
SUBMIT, DELIVER, UNBIND, BIND, ALIVE, RESPONSE = 4, 5, 6, 9, 0x15, 0x8000_0000
THROTTLED, WRONG_LOGIN, WRONG_ADDRESS = 0x58, 0x0E, 0x0B
PDU_BYTES_MAX = 65_536
PAYLOAD = 0x0424
STATES = {
    "sent": "ENROUTE",
    "delivered": "DELIVRD",
    "failed": "UNDELIV",
    "expired": "EXPIRED",
}


class MessageCenter:
    """Takes binds on a port of its own; what it does with a message is scripted as elsewhere."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.port = 0
        self._server: asyncio.Server | None = None
        self._binds: set[asyncio.StreamWriter] = set()
        self._last = 255
        self._sequence = 0

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up every bind."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._binds):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length, command, _, sequence = HEADER.unpack(await reader.readexactly(HEADER.size))
                if not HEADER.size <= length <= PDU_BYTES_MAX:
                    break
                body = await reader.readexactly(length - HEADER.size)
                if command == SUBMIT:
                    await self._submit(writer, sequence, body)
                elif command == BIND:
                    self._bind(writer, sequence, body)
                elif not command & RESPONSE:
                    writer.write(packed(command | RESPONSE, sequence))
        except (EOFError, OSError):
            pass
        finally:
            self._binds.discard(writer)
            writer.close()

    def _bind(self, writer: asyncio.StreamWriter, sequence: int, body: bytes) -> None:
        accounts = self.common.accounts
        system_id, password = (one.decode("latin-1") for one in body.split(b"\0")[:2])
        known = same_secret(system_id, accounts.smpp_system_id)
        known &= same_secret(password, accounts.smpp_password)
        status = 0 if known else WRONG_LOGIN
        writer.write(packed(BIND | RESPONSE, sequence, b"sandbox\0", status))
        if known:
            self._binds.add(writer)

    async def _submit(self, writer: asyncio.StreamWriter, sequence: int, body: bytes) -> None:
        item, inbox = self._item(body), self.common.inbox
        turn = self.common.script.turn(NAME, item.address)
        answer = turn.answer
        status = 0
        if answer.kind == "throttle":
            status = THROTTLED
        elif answer.kind == "refuse":
            status = int(answer.code or f"{WRONG_ADDRESS:x}", 16)
        elif answer.kind == "hang":
            return
        if status or not answer.taken:
            inbox.note(NAME, item.address, answer.kind, f"0x{status:x}")
            if status:
                writer.write(packed(SUBMIT | RESPONSE, sequence, b"\0", status))
            else:
                writer.transport.abort()
            return
        item.hooks["writer"] = writer
        entry = await inbox.take(NAME, CHANNEL, item, body.hex())
        inbox.note(NAME, item.address, "accepted")
        await self._take(writer, sequence, entry, turn)

    async def _take(
        self,
        writer: asyncio.StreamWriter,
        sequence: int,
        entry: InboxEntry,
        turn: RequestBehaviour,
    ) -> None:
        """Answer a message that was taken, at once, late or never, and plan its receipts."""
        if turn.before_response:
            await self.common.courier.send_now(entry, turn, self.receipt)
        else:
            self.common.courier.plan(entry, turn, self.receipt)
        if turn.answer.kind == "late":
            await self.common.courier.pause(turn.answer.seconds)
        if turn.answer.kind in ("accept", "late"):
            id = entry.item.provider_id.encode() + b"\0"
            writer.write(packed(SUBMIT | RESPONSE, sequence, id))
        else:
            writer.transport.abort()

    def _item(self, body: bytes) -> Item:
        _, _, rest = body.partition(b"\0")
        source, _, rest = rest[2:].partition(b"\0")
        to, _, rest = rest[2:].partition(b"\0")
        esm_class = rest[0]
        _, _, rest = rest[3:].partition(b"\0")
        _, _, rest = rest.partition(b"\0")
        coding, length = rest[2], rest[4]
        text, options = rest[5 : 5 + length], rest[5 + length :]
        while len(options) >= 4:
            tag, size = struct.unpack("!HH", options[:4])
            text = options[4 : 4 + size] if tag == PAYLOAD else text
            options = options[4 + size :]
        content: dict[str, Any] = {"from": source.decode("latin-1")}
        if esm_class & 0x40:
            content["part"] = f"{text[5]}/{text[4]}"
            text = text[text[0] + 1 :]
        content["text"] = text.decode("utf-16-be" if coding == 8 else "latin-1", "replace")
        self._last += 1
        return Item(
            address=canonical(to.decode("latin-1")),
            provider_id=f"{self._last:x}",
            reference=None,
            content=content,
        )

    def receipt(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """A receipt or a reply goes over the bind; a click opens the tracked link."""
        if planned.state == "clicked":
            return tracked_link(entry)
        if planned.state == "replied":
            self._deliver(entry, 0, (planned.detail or "OK").encode("utf-16-be"), 8)
        elif planned.state in STATES:
            number, now = int(entry.item.provider_id, 16), time.strftime("%y%m%d%H%M")
            text = (
                f"id:{number:010d} sub:001 dlvrd:001 submit date:{now} done date:{now}"
                f" stat:{STATES[planned.state]} err:{planned.detail or '000'} text:"
            )
            self._deliver(entry, 4, text.encode("ascii", "replace"), 0)
        return None

    def _deliver(self, entry: InboxEntry, esm_class: int, text: bytes, coding: int) -> None:
        """Over the bind of the message, or another one if that is gone."""
        own = entry.item.hooks["writer"]
        writer = own if own in self._binds else next(iter(self._binds), None)
        if writer is None:
            return
        self._sequence += 1
        source = entry.item.address.lstrip("+").encode()
        head = b"\0\1\1" + source + b"\0\5\0" + entry.item.content["from"].encode() + b"\0"
        rest = bytes([esm_class, 0, 0, 0, 0, 0, 0, coding, 0, len(text)])
        writer.write(packed(DELIVER, self._sequence, head + rest + text))


def packed(command: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    """A whole PDU."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body
