"""A small SMSC for tests: it takes every bind, and does with each ``submit_sm`` what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.smpp import pdu as wire

Do = Callable[["Smsc", asyncio.StreamWriter, wire.Pdu], None]


def accept(smsc: Smsc, writer: asyncio.StreamWriter, pdu: wire.Pdu) -> None:
    """Take it, and answer with an id."""
    smsc.answer(writer, pdu, body=wire.c_string(f"00{len(smsc.taken):x}".upper()))


class Smsc:
    """
    ``taken`` are the bodies of all submits; ``does`` are what happens to the next ones. ``status``
    is what binds are answered, the first ones by ``statuses``.
    """

    def __init__(self) -> None:
        self.port = 0
        self.status = 0
        self.statuses: list[int] = []
        self.binds: list[asyncio.StreamWriter] = []
        self.taken: list[bytes] = []
        self.does: list[Do] = []
        self.answers: asyncio.Queue[wire.Pdu] = asyncio.Queue()

    def answer(
        self, writer: asyncio.StreamWriter, pdu: wire.Pdu, status: int = 0, body: bytes = b""
    ) -> None:
        writer.write(wire.packed(pdu.command | wire.RESPONSE, pdu.sequence, body, status))

    def deliver(
        self, text: bytes, esm_class: int = wire.RECEIPT, options: bytes = b"", coding: int = 0
    ) -> None:
        """Hand a receipt or a person's message to the first bind."""
        body = wire.submit_body(
            source=(1, 1, "380501234567"),
            destination=(5, 0, "Shop"),
            esm_class=esm_class,
            validity="",
            receipt=False,
            coding=coding,
            text=text,
            options=options,
        )
        self.binds[0].write(wire.packed(wire.Command.DELIVER_SM, 7, body))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(wire.HEADER.size)
                length, command, status, sequence = wire.HEADER.unpack(head)
                body = await reader.readexactly(length - wire.HEADER.size)
                self.take(writer, wire.Pdu(command, status, sequence, body))
        except (EOFError, OSError):
            writer.close()
        finally:
            if writer in self.binds:
                self.binds.remove(writer)

    def take(self, writer: asyncio.StreamWriter, pdu: wire.Pdu) -> None:
        if pdu.command & wire.RESPONSE:
            self.answers.put_nowait(pdu)
        elif pdu.command == wire.Command.SUBMIT_SM:
            self.taken.append(pdu.body)
            (self.does.pop(0) if self.does else accept)(self, writer, pdu)
        elif pdu.command == wire.Command.BIND_TRANSCEIVER:
            status = self.statuses.pop(0) if self.statuses else self.status
            self.answer(writer, pdu, status, wire.c_string("smsc"))
            self.binds.append(writer)
        else:
            self.answer(writer, pdu)


@asynccontextmanager
async def smsc() -> AsyncIterator[Smsc]:
    found = Smsc()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for writer in found.binds:
            writer.close()
