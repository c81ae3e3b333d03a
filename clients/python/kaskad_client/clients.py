"""The synchronous and the asynchronous client: each carries out the same operations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx

from kaskad_client import operations as ops
from kaskad_client.events import Event, EventFields, Result, event_of
from kaskad_client.operations import Answer, Call, Operation, Pause
from kaskad_client.shapes import Consent, InboxToken, Message, Recipient

T = TypeVar("T")
TIMEOUT_SECONDS, RETRY_SECONDS = 30.0, 60.0


class Client:
    """
    What both clients share. ``url`` is where the service is reached; ``key`` an API key with the
    scopes of what is called; ``source`` the one of events that have none of their own.
    ``timeout`` bounds a single request, ``retry_for`` is how long a call is tried again (both in
    seconds; 0: once).
    """

    def __init__(self, url: str, key: str | None, source: str, retry_for: float) -> None:
        self.source = source
        self._url = url.rstrip("/")
        self._headers = {"User-Agent": "kaskad-client"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._retries = ops.RetryBudget(retry_for)

    def _request(self, client: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        return client.build_request(
            call.method,
            self._url + call.path,
            params=dict(call.params) or None,
            content=call.content,
            headers={**self._headers, **call.headers},
        )


class Kaskad(Client):
    """
    The synchronous client, for any number of threads. Close it, or use it as a context manager.
    ``http`` is a client of httpx with a proxy or certificates of your own; it is not closed.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        source: str = "",
        timeout: float = TIMEOUT_SECONDS,
        retry_for: float = RETRY_SECONDS,
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(url, key, source, retry_for)
        self._own = http is None
        self._http = httpx.Client(timeout=timeout) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._own:
            self._http.close()

    def _run(self, operation: Operation[T]) -> T:
        answer: Answer = None
        try:
            while True:
                match operation.send(answer):
                    case Pause(seconds):
                        time.sleep(seconds)
                        answer = None
                    case call:
                        try:
                            answer = self._http.send(self._request(self._http, call))
                        except httpx.TransportError as error:
                            answer = error
        except StopIteration as end:
            found: T = end.value
            return found

    def publish(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        **fields: Unpack[EventFields],
    ) -> Result:
        """
        Publish one event: an ``Event``, or what it is made of. Raises ``ApiError`` for one that is
        refused (``Conflict``, ``TooLarge``), and ``Unreachable``.
        """
        event = event_of(type, data, fields)
        return self._run(ops.publish(event, self.source, self._retries))

    def publish_many(self, events: Iterable[Event]) -> list[Result]:
        """
        Publish events in batches; one result for each, in their order. One that is refused is a
        result with an ``error`` and takes no other along. If a batch cannot be published, the
        error's ``results`` are those of the batches before it.
        """
        return self._run(ops.publish_many(events, self.source, self._retries))

    def message(self, id: str) -> Message:
        """One message with its trace."""
        return self._run(ops.message(id, self._retries))

    def messages(
        self,
        *,
        recipient: str | None = None,
        policy: str | None = None,
        status: str | None = None,
    ) -> Iterator[Message]:
        """Every message that matches, the newest first; pages are fetched as they are needed."""
        filters = {"recipient": recipient, "policy": policy, "status": status}
        while True:
            page = self._run(ops.message_page(filters, self._retries))
            yield from page["items"]
            filters["cursor"] = page["next_cursor"]
            if page["next_cursor"] is None:
                return

    def cancel(self, id: str) -> Message:
        """Stop what has not been sent. Raises ``Conflict`` if the message has ended already."""
        return self._run(ops.cancel(id, self._retries))

    def recipient(self, id: str) -> Recipient:
        """A profile. A phone or mailbox in place of the id finds its person."""
        return self._run(ops.recipient(id, self._retries))

    def put_recipient(self, id: str, profile: Mapping[str, Any]) -> Recipient:
        """Merge a profile over what is stored; None removes a field."""
        return self._run(ops.put_recipient(id, profile, self._retries))

    def erase_recipient(self, id: str) -> None:
        """Erase a person; their running messages are cancelled."""
        self._run(ops.erase_recipient(id, self._retries))

    def export_recipient(self, id: str) -> dict[str, Any]:
        """Everything that is stored about a person."""
        return self._run(ops.export_recipient(id, self._retries))

    def consents(self, id: str) -> list[Consent]:
        """A person's consent history."""
        return self._run(ops.consents(id, self._retries))

    def put_consents(self, id: str, entries: Sequence[Mapping[str, Any]]) -> list[Consent]:
        """Add entries to a consent history; none is removed."""
        return self._run(ops.put_consents(id, entries, self._retries))

    def inbox_token(self, recipient: str, *, expires_in: int | None = None) -> InboxToken:
        """A token for a person's own browser or app, for so many seconds (an hour)."""
        return self._run(ops.inbox_token(recipient, expires_in, self._retries))


class AsyncKaskad(Client):
    """The same calls as ``Kaskad`` has, to await."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        source: str = "",
        timeout: float = TIMEOUT_SECONDS,
        retry_for: float = RETRY_SECONDS,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(url, key, source, retry_for)
        self._own = http is None
        self._http = httpx.AsyncClient(timeout=timeout) if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    async def _run(self, operation: Operation[T]) -> T:
        answer: Answer = None
        try:
            while True:
                match operation.send(answer):
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        answer = None
                    case call:
                        try:
                            answer = await self._http.send(self._request(self._http, call))
                        except httpx.TransportError as error:
                            answer = error
        except StopIteration as end:
            found: T = end.value
            return found

    async def publish(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        **fields: Unpack[EventFields],
    ) -> Result:
        event = event_of(type, data, fields)
        return await self._run(ops.publish(event, self.source, self._retries))

    async def publish_many(self, events: Iterable[Event]) -> list[Result]:
        return await self._run(ops.publish_many(events, self.source, self._retries))

    async def message(self, id: str) -> Message:
        return await self._run(ops.message(id, self._retries))

    async def messages(
        self,
        *,
        recipient: str | None = None,
        policy: str | None = None,
        status: str | None = None,
    ) -> AsyncIterator[Message]:
        filters = {"recipient": recipient, "policy": policy, "status": status}
        while True:
            page = await self._run(ops.message_page(filters, self._retries))
            for one in page["items"]:
                yield one
            filters["cursor"] = page["next_cursor"]
            if page["next_cursor"] is None:
                return

    async def cancel(self, id: str) -> Message:
        return await self._run(ops.cancel(id, self._retries))

    async def recipient(self, id: str) -> Recipient:
        return await self._run(ops.recipient(id, self._retries))

    async def put_recipient(self, id: str, profile: Mapping[str, Any]) -> Recipient:
        return await self._run(ops.put_recipient(id, profile, self._retries))

    async def erase_recipient(self, id: str) -> None:
        await self._run(ops.erase_recipient(id, self._retries))

    async def export_recipient(self, id: str) -> dict[str, Any]:
        return await self._run(ops.export_recipient(id, self._retries))

    async def consents(self, id: str) -> list[Consent]:
        return await self._run(ops.consents(id, self._retries))

    async def put_consents(self, id: str, entries: Sequence[Mapping[str, Any]]) -> list[Consent]:
        return await self._run(ops.put_consents(id, entries, self._retries))

    async def inbox_token(self, recipient: str, *, expires_in: int | None = None) -> InboxToken:
        return await self._run(ops.inbox_token(recipient, expires_in, self._retries))
