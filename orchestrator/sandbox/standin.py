"""
The base of the HTTP stand-ins: read the request, look up the behaviour, carry it out on the socket.

    read      the provider's validation; a bad request gets the provider's own error body
    decide    the script, else what the provider knows (opted out, a repeated id, no session)
    take      accepted messages are durable before a byte of the answer is written
    answer    at once, late, never, or by cutting the connection
    receipts  after the answer, unless the script wants them before it
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeGuard

from aiohttp import web

from orchestrator.sandbox.accounts import Accounts
from orchestrator.sandbox.courier import Courier, Post
from orchestrator.sandbox.inbox import Inbox, InboxEntry, Item
from orchestrator.sandbox.script import Planned, RequestBehaviour, Script, canonical

HANG_POLL_SECONDS = 0.05
LINK = re.compile(r"https?://[^\s\"'<>)\]\\]+/c/[^\s\"'<>)\]\\]+")


@dataclass(slots=True, kw_only=True)
class Common:
    """
    The state that the stand-ins share. ``url`` is the sandbox's own origin; ``callbacks`` are
    webhook URLs by provider; ``new_id`` gives 32 hex characters that no other run gives; ``now`` is
    the providers' clock (UTC seconds).
    """

    accounts: Accounts
    inbox: Inbox
    courier: Courier
    script: Script
    callbacks: dict[str, str]
    new_id: Callable[[], str]
    seed: int | None = None
    url: str = ""
    now: Callable[[], float] = time.time
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class RefusedRequest(Exception):
    """The provider refuses a whole request: its answer, and its code for the request counts."""

    def __init__(self, response: web.Response, code: object, address: str | None = None) -> None:
        super().__init__(str(code))
        self.response = response
        self.code = str(code)
        self.address = address


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One item of a request: accepted if ``code`` is None, else refused with that code."""

    item: Item
    code: str | None


class NoReplies(ValueError):
    """The channel has no inbound messages, or no webhook for them is known."""


class StandIn:
    """
    A stand-in for one provider API; subclasses give its requests, answers and receipts.

    ``usual_refusal``, ``blocked_code``, ``throttle_code``: the provider's codes for a scripted
    refusal, a person who has opted out (None: not checked) and "slow down".
    """

    name: ClassVar[str]
    channel: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    usual_refusal: ClassVar[str]
    blocked_code: ClassVar[str | None] = None
    throttle_code: ClassVar[str]

    def __init__(self, common: Common) -> None:
        self.common = common

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The API's paths; each also under ``/as/{alias}`` for a second account."""
        for path in self.paths:
            yield web.post(path, self.handle)

    # supplied by a provider's stand-in

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        """The messages in a request. Raises ``RefusedRequest``."""
        raise NotImplementedError

    def channel_of(self, item: Item) -> str:
        """The channel of a message; some providers take several at one path."""
        return self.channel

    def objection(self, provider: str, item: Item) -> str | None:
        """The provider's code if it refuses a well-formed message; it may note the message."""
        blocked = (provider, item.address) in self.common.inbox.opted_out
        return self.blocked_code if blocked else None

    def respond(self, request: web.Request, results: Sequence[ItemResult]) -> web.Response:
        """The answer to a request that was read; by default it has one message."""
        item, code = results[0].item, results[0].code
        return self.taken(item) if code is None else self.refused(code, item.address)

    def taken(self, item: Item) -> web.Response:
        """The answer to one accepted message."""
        raise NotImplementedError

    def refused(self, code: str, address: str = "") -> web.Response:
        """The provider's error answer for a code."""
        raise NotImplementedError

    def throttled(self, seconds: float) -> web.Response:
        """The answer "slow down"."""
        response = self.refused(self.throttle_code)
        response.headers["Retry-After"] = str(round(seconds))
        return response

    def broken(self, status: int) -> web.Response:
        """An answer with a bare status, as of a gateway in front of the provider."""
        return web.Response(
            status=status, text=f"{status}", headers={"Location": "/"} if status < 400 else None
        )

    def receipt(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """The receipt for a state; None if the provider has none or nowhere to post it."""
        if planned.state == "clicked":
            return self.clicked(entry)
        if planned.state == "replied":
            return self.inbound(entry.provider, entry.item.address, planned.detail or "OK", entry)
        return self.report(entry, planned)

    def clicked(self, entry: InboxEntry) -> Post | None:
        """The request that a click causes: by default the tracked link is opened."""
        return tracked_link(entry)

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        """The delivery report for a state."""
        return None

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        """The webhook for a text that the person wrote. Raises ``NoReplies``."""
        raise NoReplies(
            f"{self.name} has no inbound messages; twilio, infobip, viber_bot, telegram and meta do"
        )

    def callback(self, provider: str, learned: str | None = None) -> str:
        """The webhook of a provider, else the ``learned`` one. Raises ``NoReplies``."""
        url = self.common.callbacks.get(provider, learned)
        if url is None:
            raise NoReplies(
                f"{provider} has no webhook; set it with PUT /_sandbox/callbacks {{{provider!r}:"
                " URL}"
            )
        return url

    def raw_text(self, raw: bytes) -> str:
        """The request's body for the record."""
        return raw.decode("utf-8", "replace")

    def spelling(self, address: str) -> str:
        """The one spelling of an address that was typed in."""
        return canonical(address)

    # shared

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of the provider's API."""
        provider = request.match_info.get("alias", self.name)
        raw = await request.read()
        try:
            items = self.read(request, raw)
        except RefusedRequest as refusal:
            self.common.inbox.note(provider, refusal.address, "refused", refusal.code)
            return refusal.response
        turns = [self.common.script.turn(provider, item.address) for item in items]
        chief = next(
            (turn for turn in turns if turn.answer.kind not in ("accept", "refuse")), turns[0]
        )
        if not chief.answer.taken and chief.answer.kind != "refuse":
            for item in items:
                self.common.inbox.note(provider, item.address, chief.answer.kind)
            return await self._turn_away(request, chief)
        return await self._take(
            request, provider, self.raw_text(raw), list(zip(items, turns, strict=True)), chief
        )

    async def _turn_away(self, request: web.Request, turn: RequestBehaviour) -> web.Response:
        """Answer without taking the message."""
        answer = turn.answer
        if answer.kind == "throttle":
            return self.throttled(answer.seconds)
        if answer.kind == "status":
            return self.broken(answer.status)
        if answer.kind == "hang":
            await self._hang(request)
        return self.go_away(request) if answer.kind == "go_away" else cut(request)

    def go_away(self, request: web.Request) -> web.Response:
        """Close the connection in the provider's way, without having taken anything."""
        return cut(request)

    async def _take(
        self,
        request: web.Request,
        provider: str,
        raw: str,
        pairs: list[tuple[Item, RequestBehaviour]],
        chief: RequestBehaviour,
    ) -> web.StreamResponse:
        results, accepted = [], []
        for item, turn in pairs:
            code = (
                (turn.answer.code or self.usual_refusal) if turn.answer.kind == "refuse" else None
            )
            code = code or self.objection(provider, item)
            results.append(ItemResult(item, code))
            if code is None:
                accepted.append((item, turn))
            else:
                self.common.inbox.note(provider, item.address, "refused", code)
        response = self.respond(request, results)
        entries = []
        for item, turn in accepted:
            channel = self.channel_of(item)
            entries.append((await self.common.inbox.take(provider, channel, item, raw), turn))
            self.common.inbox.note(provider, item.address, "accepted")
        for entry, turn in entries:
            if turn.before_response:
                await self.common.courier.send_now(entry, turn, self.receipt)
        waiting = [(entry, turn) for entry, turn in entries if not turn.before_response]
        if chief.answer.kind in ("accept", "refuse"):
            await finish(request, response)
            self._plan(waiting)
            return response
        self._plan(waiting)
        return await self._answer_oddly(request, chief, response)

    def _plan(self, entries: list[tuple[InboxEntry, RequestBehaviour]]) -> None:
        for entry, turn in entries:
            self.common.courier.plan(entry, turn, self.receipt)

    async def _answer_oddly(
        self, request: web.Request, turn: RequestBehaviour, response: web.Response
    ) -> web.StreamResponse:
        """Answer a taken message late, wrongly or not at all."""
        if turn.answer.kind == "late":
            await self.common.courier.pause(turn.answer.seconds)
            return response
        if turn.answer.kind == "status":
            return self.broken(turn.answer.status)
        return cut(request)

    async def _hang(self, request: web.Request) -> None:
        """Stay silent until the sender gives up or the sandbox stops."""
        while request.transport is not None and not request.transport.is_closing():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.common.stopping.wait(), HANG_POLL_SECONDS)
                return


def cut(request: web.Request) -> web.Response:
    """Reset the connection; the returned response goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def finish(request: web.Request, response: web.Response) -> None:
    """Write the whole answer now, so that receipts provably come after it."""
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()


def as_json(
    status: int, body: Any, headers: Mapping[str, str] | None = None, ascii_only: bool = False
) -> web.Response:
    """A JSON answer."""
    text = json.dumps(body, ensure_ascii=ascii_only)
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


def json_post(
    url: str, body: Any, headers: Mapping[str, str] | None = None, ascii_only: bool = False
) -> Post:
    """A JSON webhook, not signed."""
    raw = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    return Post(url=url, body=raw, headers={"Content-Type": "application/json", **(headers or {})})


def read_json(raw: bytes) -> Any:
    """The body as JSON; None if it is not JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def same_secret(given: object, expected: str) -> bool:
    """Compare a credential in constant time."""
    return hmac.compare_digest(str(given or "").encode(), expected.encode())


def is_web_url(value: object, longest: int = 4_000) -> TypeGuard[str]:
    """An absolute http(s) URL."""
    return (
        isinstance(value, str)
        and len(value) <= longest
        and re.match(r"https?://[^/\s]+", value) is not None
    )


def buttons_of(keys: Any, title: str, url: str) -> list[dict[str, str]]:
    """The buttons of a message as the page shows them, from objects with these keys."""
    found = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return [{"title": str(key.get(title, "")), "url": str(key.get(url, ""))} for key in found]


def tracked_link(entry: InboxEntry) -> Post | None:
    """The request that opens the first tracked link of a message, if it has one."""
    found = LINK.search(json.dumps(entry.item.content, ensure_ascii=False))
    return (
        Post(method="GET", url=found.group().replace("&amp;", "&"), repeat=False) if found else None
    )
