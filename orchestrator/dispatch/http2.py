"""
HTTP/2 on one connection for each server, exact about what was processed.

A server that goes away says which request was the last one that it processes (GOAWAY, RFC 9113
6.8), and one that has too many says so of a single request (REFUSED_STREAM). Both prove that a
request was not processed: it goes again on another connection while its send may still start, and
is NotSent after that. Requests up to the last one are still answered on the old connection.

h2 has the protocol. httpx, which uses it too, takes 2.8 ms of CPU for a request here, and drops the
answers that come after a GOAWAY.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hpack import Encoder, NeverIndexedHeaderTuple

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.send_once import HEADERS, Trace, Unreadable, bounded, unpacked

IDLE_SECONDS = 30.0
"""A connection that was silent for so long is asked for a sign of life before it is used."""
PING_SECONDS = 2.0
BYTES_AT_ONCE = 65_536
STREAMS_MAX = 1_000
STREAM_ID_MAX = 2**31 - 1_001
ALPN = "h2"
PSEUDO = ":"
Header = tuple[str, str] | NeverIndexedHeaderTuple
PER_CONNECTION = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade"})
TLS_CONTEXTS_MAX = 64


class Unprocessed(Exception):
    """The server has proved that it did not process a request that was written."""


class OtherProtocol(Exception):
    """The server chose another protocol than HTTP/2; nothing was written."""


class Lasting(h2.connection.H2Connection):
    """h2 closes a connection at the first GOAWAY; requests up to the last one are yet answered."""

    def _receive_goaway_frame(self, frame: Any) -> Any:
        found = super()._receive_goaway_frame(frame)
        self.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        return found


class PlainEncoder(Encoder):
    """Without Huffman codes, which take more time in Python than the bytes they save."""

    def encode(self, headers: Any, huffman: bool = False) -> bytes:
        return super().encode(headers, huffman=False)


class Exchange:
    """One request that was written, and its answer so far."""

    __slots__ = ("body", "guarded", "headers", "reply", "status")

    def __init__(self, guarded: bool) -> None:
        self.reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.guarded = guarded
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    def end(self, error: Exception | None = None) -> None:
        if not self.reply.done():
            if error is None:
                self.reply.set_result(None)
            else:
                self.reply.set_exception(error)


class Http2Connection(asyncio.Protocol):
    """One connection; used until it closes, goes away or is silent for all of a request's time."""

    def __init__(self, only: bool) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = Lasting(config)
        self._h2.encoder = PlainEncoder()
        self._said: dict[str, str] = {}
        """The header values of the last request: only what is repeated is worth an index."""
        self._monotonic = asyncio.get_running_loop().time
        self._only = only
        self._streams: dict[int, Exchange] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._transport: asyncio.Transport | None = None
        self._last_read_at = self._monotonic()
        self._pong: asyncio.Future[None] | None = None
        self._paused = False
        self._going_away = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends when the server has sent its settings: it speaks HTTP/2."""
        self.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        secure = transport.get_extra_info("ssl_object")
        if secure is not None and secure.selected_alpn_protocol() != ALPN and not self._only:
            self.ready.set_exception(OtherProtocol())
            self._transport.abort()
            return
        self._h2.local_settings.enable_push = 0
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(2**24)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._last_read_at = self._monotonic()
        try:
            events = self._h2.receive_data(data)
        except (h2.exceptions.ProtocolError, UnicodeDecodeError) as error:
            self._break(Unreadable(type(error).__name__))
            return
        for event in events:
            self._take(event)
        self._flush()
        if self._going_away:
            self.retire()
        self._let_in()

    def connection_lost(self, error: Exception | None) -> None:
        self._break(ConnectionError(type(error).__name__ if error else "closed"))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._let_in()

    # ---- for the sender

    @property
    def usable(self) -> bool:
        """Whether further requests may go here."""
        alive = self._transport is not None and not self._transport.is_closing()
        return alive and not self._going_away

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._transport

    def has_room(self, call: HttpCall) -> bool:
        """Whether a whole request may be written now."""
        windows = (
            self._h2.remote_settings.initial_window_size,
            self._h2.outbound_flow_control_window,
        )
        most = min(STREAMS_MAX, self._h2.remote_settings.max_concurrent_streams)
        return not self._paused and len(self._streams) < most and len(call.body) <= min(windows)

    async def room(self, call: HttpCall) -> None:
        """Wait until a whole request may be written, or the connection is not usable any more."""
        while self.usable and not self.has_room(call):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._let_in()  # somebody else's turn
                raise

    async def alive(self) -> bool:
        """Whether the server answers, where it has been silent for long."""
        if self._monotonic() < self._last_read_at + IDLE_SECONDS or self._streams:
            return True
        if self._pong is None:
            self._pong = asyncio.get_running_loop().create_future()
            self._h2.ping(b"kaskad??")
            self._flush()
        try:
            await asyncio.wait_for(asyncio.shield(self._pong), PING_SECONDS)
        except (TimeoutError, OSError):
            self.retire()
        return self.usable

    async def exchange(
        self, call: HttpCall, trace: Trace, clock: Callable[[], float]
    ) -> HttpReply | Unknown:
        """Write a request, for which there is room, and read its answer. Raises ``Unprocessed``."""
        written = self._written(call)
        stream = Exchange(call.guarded)
        trace.last_look()
        number = self._h2.get_next_available_stream_id()
        self._streams[number] = stream
        self._h2.send_headers(number, written, end_stream=not call.body)
        size = self._h2.max_outbound_frame_size
        for start in range(0, len(call.body), size):
            last = start + size >= len(call.body)
            self._h2.send_data(number, call.body[start : start + size], end_stream=last)
        started_at = self._monotonic()
        self._flush()
        if number >= STREAM_ID_MAX:
            self._going_away = True
        try:
            await stream.reply
        except asyncio.CancelledError:
            self._going_away = self._going_away or self._last_read_at < started_at
            raise
        except OSError as error:
            return Unknown(Reason.CONNECTION_LOST, detail=str(error))
        finally:
            self._forget(number)
        body = unpacked(stream.body, stream.headers.get("content-encoding", ""))
        return HttpReply(
            status=stream.status, headers=stream.headers, body=body, now=clock(), request=call
        )

    def retire(self) -> None:
        """Take no more requests, and close once those under way have ended."""
        self._going_away = True
        if not self._streams:
            self.close()
        self._let_in()

    def close(self) -> None:
        """Say goodbye; whatever is under way stays unknown."""
        self._going_away = True
        if self._transport is not None and not self._transport.is_closing():
            self._h2.close_connection()
            self._flush()
            self._transport.close()

    # ---- inside

    def _written(self, call: HttpCall) -> list[Header]:
        scheme, host, target = parts_of(call.url)
        named = {name.lower(): value for name, value in {**HEADERS, **call.headers}.items()}
        if call.body:
            named["content-length"] = str(len(call.body))
        fields = {":method": call.method, ":authority": host, ":scheme": scheme, ":path": target}
        fields |= {name: value for name, value in named.items() if name not in PER_CONNECTION}
        said, self._said = self._said, fields
        return [
            (name, value) if said.get(name) == value else NeverIndexedHeaderTuple(name, value)
            for name, value in fields.items()
        ]

    def _flush(self) -> None:
        words = self._h2.data_to_send()
        if words and self._transport is not None and not self._transport.is_closing():
            self._transport.write(words)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RemoteSettingsChanged() if not self.ready.done():
                self.ready.set_result(None)
            case h2.events.ResponseReceived():
                self._answer_begins(event)
            case h2.events.DataReceived():
                self._more_of_answer(event)
            case h2.events.StreamEnded():
                self._end(event.stream_id, None)
            case h2.events.StreamReset():
                untouched = event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
                error = Unprocessed() if untouched else ConnectionError("the stream was reset")
                self._end(event.stream_id, error)
            case h2.events.PingAckReceived() if self._pong is not None:
                if not self._pong.done():
                    self._pong.set_result(None)
                self._pong = None
            case h2.events.ConnectionTerminated():
                self._going_away = True
                last = event.last_stream_id if event.last_stream_id is not None else 0
                for number in [number for number in self._streams if number > last]:
                    self._end(number, Unprocessed())

    def _answer_begins(self, event: h2.events.ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        for name, value in event.headers or ():
            text = value if isinstance(value, str) else value.decode("latin-1")
            key = name if isinstance(name, str) else name.decode("latin-1")
            if key == ":status":
                stream.status = int(text) if text.isascii() and text.isdigit() else 0
            elif not key.startswith(PSEUDO):
                stream.headers[key] = text

    def _more_of_answer(self, event: h2.events.DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        try:
            stream.body = bounded(stream.body + (event.data or b""), stream.guarded)
        except Unreadable as error:
            self._end(event.stream_id, error)

    def _end(self, number: int | None, error: Exception | None) -> None:
        """An answer is there, or will not come."""
        stream = self._streams.pop(number or 0, None)
        if stream is not None:
            stream.end(error)

    def _forget(self, number: int) -> None:
        """Reset a stream whose caller has gone, so that the server stops working on it."""
        if self._streams.pop(number, None) is not None:
            try:
                self._h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            except h2.exceptions.ProtocolError:
                return
            self._flush()
        if self._going_away:
            self.retire()
        self._let_in()

    def _let_in(self) -> None:
        """Wake those who wait for room; each looks again, and waits again if it came too late."""
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    def _break(self, error: Exception) -> None:
        self._going_away = True
        if not self.ready.done():
            self.ready.set_exception(error)
        if self._pong is not None and not self._pong.done():
            self._pong.set_exception(ConnectionError("closed"))
        for number in list(self._streams):
            self._end(number, error)
        if self._transport is not None:
            self._transport.abort()
        self._let_in()


@lru_cache(maxsize=256)
def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host name and port. Raises ``ValueError`` if this is no http(s) URL with a host."""
    found = urlsplit(url)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError("neither http nor https")
    return found.scheme, found.hostname, found.port or (443 if found.scheme == "https" else 80)


def parts_of(url: str) -> tuple[str, str, str]:
    """Scheme, authority and target of a URL, as a request names them."""
    found = urlsplit(url)
    target = found.path or "/"
    return found.scheme, found.netloc, f"{target}?{found.query}" if found.query else target


@lru_cache(maxsize=TLS_CONTEXTS_MAX)
def tls_context(ca: str, only: bool) -> ssl.SSLContext:
    """A client's context, which trusts ``ca`` alone if it is given."""
    context = ssl.create_default_context(cadata=ca or None)
    context.set_alpn_protocols([ALPN] if only else [ALPN, "http/1.1"])
    return context
