"""
What the stand-ins accepted: the ground truth that everything else is measured against.

Each accepted message is on the disk before its sender sees an answer, so a test that kills the
sender at any moment can still count what was really sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

STREAM_EVENTS_MAX = 1_000
REQUESTS_KEPT = 20_000


@dataclass(slots=True, kw_only=True)
class Item:
    """One message of a request. ``hooks`` are the callbacks and facts that its receipts need."""

    address: str
    provider_id: str
    reference: str | None
    content: dict[str, Any]
    hooks: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class InboxEntry:
    """
    One accepted message. ``at`` is UTC seconds; ``reference`` the sender's own (None: none);
    ``raw`` the body as text, or base64url if binary; ``states`` the times of the states reached so
    far.
    """

    seq: int
    at: float
    provider: str
    channel: str
    item: Item
    raw: str
    states: dict[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The line of the record file."""
        return {
            "seq": self.seq,
            "at": self.at,
            "provider": self.provider,
            "channel": self.channel,
            "address": self.item.address,
            "provider_id": self.item.provider_id,
            "reference": self.item.reference,
            "content": self.item.content,
            "raw": self.raw,
        }

    def view(self) -> dict[str, Any]:
        """The message as the page shows it."""
        shown = self.record()
        del shown["raw"]
        content = dict(self.item.content)
        content["html"] = bool(content.get("html"))
        return {**shown, "content": content, "states": self.states}


class RecordFile:
    """
    A file of JSON lines that only grows. ``append`` returns once the line is on the disk; lines
    that arrive together are synced together, and lines that the disk refuses leave nothing behind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: asyncio.Queue[tuple[str, asyncio.Future[None]] | None] = asyncio.Queue()
        self._file: FileIO | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises OSError if the record file cannot be opened."""
        self._file = await asyncio.to_thread(FileIO, self._path, "a")
        self._task = asyncio.create_task(self._run())

    async def append(self, line: str) -> None:
        """Raises OSError if the disk refuses the line."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((line, done))
        await asyncio.shield(done)

    async def close(self) -> None:
        """Write what is queued, then close."""
        if self._task is not None:
            self._queue.put_nowait(None)
            await self._task
        if self._file is not None:
            self._file.close()

    async def _run(self) -> None:
        closing = False
        while not closing:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            closing = None in batch
            lines = [entry for entry in batch if entry is not None]
            error: OSError | None = None
            try:
                await asyncio.to_thread(self._write, "".join(line for line, _ in lines).encode())
            except OSError as failure:
                error = failure
            for _, done in lines:
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _write(self, text: bytes) -> None:
        assert self._file is not None
        handle = self._file.fileno()
        before = os.fstat(handle).st_size
        try:
            while text:
                text = text[os.write(handle, text) :]
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, before)  # an unacknowledged line must not count as accepted
            raise


class Inbox:
    """
    Accepted messages, requests, receipts and replies, the last ``keep`` of each, and a stream of
    changes for the page. With ``record``, an accepted message is durable before ``take`` returns.
    """

    def __init__(self, record: Path | None, keep: int) -> None:
        self._record = RecordFile(record) if record is not None else None
        self._keep = keep
        self._seq = 0
        self._accepted: OrderedDict[int, InboxEntry] = OrderedDict()
        self._last: OrderedDict[tuple[str, str], InboxEntry] = OrderedDict()
        self._listeners: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self.people: dict[str, list[str]] = {}
        self.in_app: dict[str, Any] = {"service": None, "people": {}}
        self.clear()

    async def open(self) -> None:
        """Raises OSError where the record file cannot be opened."""
        if self._record is not None:
            await self._record.open()

    async def close(self) -> None:
        """Finish the record file."""
        if self._record is not None:
            await self._record.close()

    def hang_up(self) -> None:
        """End all streams."""
        for listener in self._listeners:
            _offer(listener, None)

    def clear(self) -> None:
        """Forget all traffic; the record file and the numbering go on."""
        self._accepted.clear()
        self._last.clear()
        self.counts: dict[str, Counter[str]] = {}
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self.receipts: deque[dict[str, Any]] = deque(maxlen=self._keep)
        self.replies: deque[dict[str, Any]] = deque(maxlen=self._keep)
        self.opted_out: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._publish("reset", {})

    async def take(self, provider: str, channel: str, item: Item, raw: str) -> InboxEntry:
        """Accept a message; with a record file, it is durable once this returns."""
        self._seq += 1
        entry = InboxEntry(
            seq=self._seq,
            at=round(time.time(), 3),
            provider=provider,
            channel=channel,
            item=item,
            raw=raw,
        )
        entry.states["accepted"] = entry.at
        if self._record is not None:
            await self._record.append(json.dumps(entry.record(), ensure_ascii=False) + "\n")
        self._accepted[entry.seq] = entry
        put(self._last, (provider, item.address), entry, self._keep)
        while len(self._accepted) > self._keep:
            self._accepted.popitem(last=False)
        self._publish("message", entry.view())
        return entry

    def note(
        self, provider: str, address: str | None, outcome: str, code: str | None = None
    ) -> None:
        """Count one item of a request under its outcome."""
        self.counts.setdefault(provider, Counter())[outcome] += 1
        self.requests.append(
            {
                "at": round(time.time(), 3),
                "provider": provider,
                "address": address,
                "outcome": outcome,
                "code": code,
            }
        )

    def mark(self, entry: InboxEntry, state: str) -> None:
        """Note that the phone reached a state; the first time counts."""
        entry.states.setdefault(state, round(time.time(), 3))
        self._publish("state", {"seq": entry.seq, "states": entry.states})

    def posted(
        self, entry: InboxEntry | None, state: str, url: str | None, result: str, attempt: int = 1
    ) -> None:
        """Note the result of one receipt: the receiver's HTTP status, or why there was none."""
        self.receipts.append(
            {
                "at": round(time.time(), 3),
                "seq": entry.seq if entry else None,
                "provider": entry.provider if entry else None,
                "address": entry.item.address if entry else None,
                "state": state,
                "url": url,
                "result": result,
                "attempt": attempt,
            }
        )

    def replied(self, provider: str, address: str, text: str) -> None:
        """Note a text that the person wrote."""
        now = round(time.time(), 3)
        reply = {"at": now, "provider": provider, "address": address, "text": text}
        self.replies.append(reply)
        self._publish("reply", reply)

    def opt(self, provider: str, address: str, out: bool) -> None:
        """Note that the person stopped a provider's messages, or wants them again."""
        if out:
            put(self.opted_out, (provider, address), time.time(), self._keep)
        else:
            self.opted_out.pop((provider, address), None)
        self._publish("opted", {"provider": provider, "address": address, "out": out})

    def group(self, people: dict[str, list[str]]) -> None:
        """Set which addresses belong to one person, for the page."""
        self.people = people
        self._publish("people", people)

    def show_in_app(self, in_app: dict[str, Any]) -> None:
        """Set whose inboxes the page shows, and the service that keeps them."""
        self.in_app = in_app
        self._publish("in_app", in_app)

    def find(self, seq: int) -> InboxEntry | None:
        """The message with this number, if it is still kept."""
        return self._accepted.get(seq)

    def last(self, provider: str, address: str | None = None) -> InboxEntry | None:
        """The newest message to an address, or through a provider at all."""
        if address is not None:
            return self._last.get((provider, address))
        newest = reversed(self._accepted.values())
        return next((entry for entry in newest if entry.provider == provider), None)

    def accepted(self, provider: str | None = None) -> Iterator[InboxEntry]:
        """The kept messages, oldest first."""
        for entry in list(self._accepted.values()):
            if provider in (None, entry.provider):
                yield entry

    def snapshot(self, newest: int) -> dict[str, Any]:
        """The state with which a page begins."""
        return {
            "messages": [entry.view() for entry in list(self._accepted.values())[-newest:]],
            "replies": list(self.replies)[-newest:],
            "people": self.people,
            "in_app": self.in_app,
            "opted_out": [
                {"provider": provider, "address": address} for provider, address in self.opted_out
            ],
        }

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Queue[dict[str, Any] | None]]:
        """A queue of changes; None is its end, also for a listener that is too slow."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(STREAM_EVENTS_MAX)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def _publish(self, kind: str, data: Any) -> None:
        for listener in self._listeners:
            _offer(listener, {"kind": kind, "data": data})


def put(table: OrderedDict[Any, Any], key: Any, value: Any, keep: int) -> None:
    """Set a key of a table that keeps its ``keep`` newest keys."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > keep:
        table.popitem(last=False)


def _offer(queue: asyncio.Queue[dict[str, Any] | None], event: dict[str, Any] | None) -> None:
    """Give a listener an event; one that has fallen behind is ended, and its page starts afresh."""
    try:
        queue.put_nowait(event)
    except asyncio.QueueFull:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
