"""
One bind to an SMSC over one connection, and the pool of them.

A session writes up to ``window`` requests before it waits for answers, answers the SMSC's own, and
asks whether the other end still lives when it was silent. What was not written when a session ends
raises ``NotWritten``; what was written and not answered raises ``Unanswered``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Awaitable, Callable

from adapters.smpp.pdu import (
    HEADER,
    PDU_BYTES_MAX,
    RESPONSE,
    SEQUENCE_MAX,
    Command,
    Pdu,
    bind_body,
    packed,
)

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 30.0
ALIVE_SECONDS = 10.0
UNANSWERED_SECONDS = 60.0
UNBIND_SECONDS = 2.0
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 30.0
TEMPORARY = 0x64
"""ESME_RX_T_APPN: the SMSC is asked to deliver it again."""

OnDelivered = Callable[[Pdu], Awaitable[bool]]
"""Makes a ``deliver_sm`` durable; False asks the SMSC to send it again."""


class NotWritten(Exception):
    """Nothing of the request has left."""


class Unanswered(Exception):
    """The request was written, and the session ended before its answer."""


class BindRefused(Exception):
    """The SMSC refused the bind with ``status``."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the bind was refused with status 0x{status:x}")
        self.status = status


class SmppSession:
    """A bind. ``free`` is how many more requests its window takes."""

    def __init__(self, window: int, on_delivered: OnDelivered) -> None:
        self._window = window
        self._on_delivered = on_delivered
        self._waiting: dict[int, tuple[float, asyncio.Future[Pdu]]] = {}
        """By sequence number: when the request was written, and its answer."""
        self._sequence = 0
        self._seen_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._incoming: asyncio.Queue[Pdu] = asyncio.Queue(window)
        self._writer: asyncio.StreamWriter | None = None
        self.ended = asyncio.Event()
        self.on_free: Callable[[], None] = lambda: None

    @property
    def free(self) -> int:
        return self._window - len(self._waiting) if self._open_writer() is not None else 0

    async def bind(
        self, host: str, port: int, context: ssl.SSLContext | None, login: tuple[str, str, str]
    ) -> None:
        """
        Connect and bind. Raises ``OSError``, ``TimeoutError``, ``Unanswered`` or ``BindRefused``.
        """
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, self._writer = await asyncio.open_connection(host, port, ssl=context)
            self._tasks = [asyncio.create_task(self._read(reader))]
            answer = await self.request(Command.BIND_TRANSCEIVER, bind_body(*login))
        if answer.status:
            raise BindRefused(answer.status)
        self._tasks += [asyncio.create_task(self._watch()), asyncio.create_task(self._deliver())]

    def request(self, command: int, body: bytes) -> asyncio.Future[Pdu]:
        """
        Write a request; the result is its answer. Raises ``NotWritten``. A caller that gives up
        leaves the slot taken until the answer comes or the session ends.
        """
        writer = self._open_writer()
        if writer is None:
            raise NotWritten
        self._sequence = self._sequence % SEQUENCE_MAX + 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Pdu] = loop.create_future()
        self._waiting[self._sequence] = loop.time(), answer
        writer.write(packed(command, self._sequence, body))
        return answer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                header = await reader.readexactly(HEADER.size)
                length, command, status, sequence = HEADER.unpack(header)
                if not HEADER.size <= length <= PDU_BYTES_MAX:
                    break
                body = await reader.readexactly(length - HEADER.size)
                self._seen_at = asyncio.get_running_loop().time()
                await self._take(Pdu(command, status, sequence, body))
        except (OSError, EOFError):
            pass
        finally:
            self.end()

    async def _take(self, pdu: Pdu) -> None:
        if pdu.command & RESPONSE:
            _, answer = self._waiting.pop(pdu.sequence, (0, None))
            if answer is not None and not answer.done():
                answer.set_result(pdu)
            self.on_free()
        elif pdu.command == Command.DELIVER_SM:
            await self._incoming.put(pdu)
        elif pdu.command == Command.ENQUIRE_LINK:
            self._answer(pdu)
        elif pdu.command == Command.UNBIND:
            self._answer(pdu)
            raise EOFError
        else:
            self._write(packed(RESPONSE, pdu.sequence, status=0x03))  # an unknown command

    async def _deliver(self) -> None:
        """Acknowledge what came in once it is durable, in its order."""
        while True:
            pdu = await self._incoming.get()
            taken = await self._on_delivered(pdu)
            self._answer(pdu, 0 if taken else TEMPORARY)

    def _answer(self, pdu: Pdu, status: int = 0) -> None:
        body = b"\0" if pdu.command == Command.DELIVER_SM else b""
        self._write(packed(pdu.command | RESPONSE, pdu.sequence, body, status))

    def _open_writer(self) -> asyncio.StreamWriter | None:
        """None where nothing can be written any more, or not yet."""
        writer = self._writer
        return None if writer is None or writer.is_closing() else writer

    def _write(self, data: bytes) -> None:
        if (writer := self._open_writer()) is not None:
            writer.write(data)

    async def _watch(self) -> None:
        """
        End the session if the SMSC leaves a request unanswered, so that its slot does not stay
        taken for good, or does not answer when it is asked after a silence.
        """
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(SILENT_SECONDS)
            oldest = min((at for at, _ in self._waiting.values()), default=clock())
            if clock() - oldest > UNANSWERED_SECONDS:
                break
            if clock() - self._seen_at < SILENT_SECONDS:
                continue
            try:
                async with asyncio.timeout(ALIVE_SECONDS):
                    await self.request(Command.ENQUIRE_LINK, b"")
            except (TimeoutError, NotWritten, Unanswered):
                break
        self.end()

    def end(self) -> None:
        """The session is over: every request that waits has no answer."""
        self.ended.set()
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unanswered())
                answer.exception()  # a caller that has given up never looks
        self._waiting.clear()
        if self._writer is not None:
            self._writer.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.on_free()

    async def close(self) -> None:
        """Unbind, wait for that shortly, and hang up."""
        with contextlib.suppress(TimeoutError, NotWritten, Unanswered):
            async with asyncio.timeout(UNBIND_SECONDS):
                await self.request(Command.UNBIND, b"")
        self.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class SessionPool:
    """``binds`` sessions that are bound again, after pauses that grow, whenever one ends."""

    def __init__(
        self,
        binds: int,
        make: Callable[[], SmppSession],
        bind: Callable[[SmppSession], Awaitable[None]],
    ) -> None:
        self._binds = binds
        self._make = make
        self._bind = bind
        self._sessions: list[SmppSession] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.trouble: Exception | None = None
        """Why the last bind failed, None since one has succeeded."""

    @property
    def bound(self) -> bool:
        """Whether there is a session."""
        return bool(self._sessions)

    def open(self) -> None:
        """Begin to bind."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._keep()) for _ in range(self._binds)]

    async def close(self) -> None:
        """Unbind every session."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await asyncio.gather(*(session.close() for session in self._sessions))
        self._sessions = []

    async def take(self) -> SmppSession:
        """The session with the most room, as soon as there is one with any."""
        while True:
            best = max(self._sessions, key=lambda one: one.free, default=None)
            if best is not None and best.free > 0:
                return best
            self._changed.clear()
            await self._changed.wait()

    async def _keep(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            session = self._make()
            session.on_free = self._changed.set
            try:
                await self._bind(session)
            except (OSError, TimeoutError, Unanswered, NotWritten, BindRefused) as error:
                self.trouble = error
                session.end()
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
                continue
            except asyncio.CancelledError:
                session.end()
                raise
            self.trouble, pause = None, PAUSE_SECONDS
            self._sessions.append(session)
            self._changed.set()
            await session.ended.wait()
            self._sessions.remove(session)
