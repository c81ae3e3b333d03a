"""
A relay that answers as a test says, and remembers what it took: the truth that outcomes are
held against.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.email.smtp import Smtp, SmtpSettings
from kaskad_testing import outgoing
from orchestrator import channels as ch

CUT, SILENT = "cut", "silent"
USUAL = {
    "GREETING": "220 relay.example ESMTP",
    "EHLO": "250-relay.example\r\n250-SIZE 1000000\r\n250 DSN",
    "HELO": "250 relay.example",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    "DOT": "250 2.0.0 Ok: queued as 4F2A1B",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


@dataclass
class Relay:
    """
    ``says`` maps a command (and ``GREETING``, ``DOT``, ``BODY``) to what is answered, instead of
    ``USUAL``: a reply, ``CUT`` (the connection is reset) or ``SILENT``. A list is used up answer by
    answer, and then the usual one is given. ``BODY`` is looked at when the first bytes of a mail
    arrive, and no more of it is read.
    """

    says: dict[str, str | list[str]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    connections: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    port: int = 0

    async def __aenter__(self) -> Relay:
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self._server = await asyncio.start_server(self._session, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._over.set()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def counted(self, word: str) -> int:
        """How many times a command was received."""
        return sum(1 for line in self.commands if line.split(" ")[0].upper() == word)

    async def until(self, word: str, count: int = 1) -> None:
        """Wait until a command was received ``count`` times."""
        async with self.changed, asyncio.timeout(10):
            await self.changed.wait_for(lambda: self.counted(word) >= count)

    def _answer(self, word: str) -> str:
        planned = self.says.get(word)
        if isinstance(planned, list):
            return planned.pop(0) if planned else USUAL.get(word, "500 5.5.1 What?")
        return planned or USUAL.get(word, "500 5.5.1 What?")

    async def _note(self, line: str) -> None:
        async with self.changed:
            self.commands.append(line)
            self.changed.notify_all()

    async def _say(self, writer: asyncio.StreamWriter, word: str) -> bool:
        """Answer; False where the connection is over, or nothing more will ever be said on it."""
        answer = self._answer(word)
        if answer == CUT:
            writer.transport.abort()
            return False
        if answer != SILENT:
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
        return answer != SILENT

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say(writer, "GREETING"):
            await reader.read()
            return
        while line := (await reader.readline()).decode():
            await self._note(line.strip())
            word = line.split(" ")[0].strip().upper()
            going_on = self._answer_is_go_ahead(word)
            if not await self._say(writer, word):
                await reader.read()
                return
            if word == "DATA" and going_on and not await self._take(reader, writer):
                await reader.read()
                return
            if word == "QUIT":
                return

    def _answer_is_go_ahead(self, word: str) -> bool:
        planned = self.says.get(word)
        first = planned[0] if isinstance(planned, list) and planned else planned
        return word == "DATA" and (not isinstance(first, str) or first.startswith("354"))

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a mail up to its dot. Only then is it taken."""
        if "BODY" in self.says:
            await reader.read(1)
            if await self._say(writer, "BODY"):
                return True
            await self._over.wait()
            return False
        raw = await reader.readuntil(b"\r\n.\r\n")
        answer = self.says.get("DOT", USUAL["DOT"])
        first = answer[0] if isinstance(answer, list) and answer else answer
        if not isinstance(first, str) or not first.startswith(("4", "5")):
            self.taken.append(raw.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."))
        await self._note("DOT")
        return await self._say(writer, "DOT")


def settings(relay_port: int, **more: object) -> Mapping[str, object]:
    """Settings for an adapter that speaks to a relay without encryption."""
    return {
        "host": "127.0.0.1",
        "port": relay_port,
        "tls": "none",
        "from": "Shop <hello@shop.example.com>",
        **more,
    }


CONTENT = {
    "subject": "Ваш кошик чекає",
    "text": "Привіт, Олено!\n.крапка на початку\n",
    "html": "<p>Привіт</p>",
}


def message(value: str = "olena@example.com", **changed: Any) -> ch.Outgoing:
    return outgoing("email", value, **{"content": CONTENT, **changed})


@asynccontextmanager
async def adapter(port: int, **more: Any) -> AsyncIterator[Smtp]:
    own = Smtp(SmtpSettings(**settings(port, **more)), "relay")  # type: ignore[arg-type]
    try:
        yield own
    finally:
        await own.close()
