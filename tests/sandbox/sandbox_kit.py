"""
Shared by the tests of the sandbox: a sandbox, a receiver of receipts, and requests as the
providers document them.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from orchestrator.sandbox import Accounts, Sandbox, SandboxConfig

ACCOUNTS = Accounts()
PHONE, OTHER = "+380501234567", "+380671112233"
WAIT_SECONDS = 20  # how long a test waits for what must come; never part of a promise


@dataclass
class Hook:
    """One request that the receiver got."""

    method: str
    url: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """
    An HTTP server that takes every webhook; ``statuses`` are its next answers, 200 once they are
    used up.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    hooks: asyncio.Queue[Hook] = field(default_factory=asyncio.Queue)
    on_hook: Callable[[Hook], None] = lambda hook: None
    answer: Callable[[Hook], str] = lambda hook: ""

    async def next(self) -> Hook:
        return await asyncio.wait_for(self.hooks.get(), WAIT_SECONDS)

    async def take(self, request: web.Request) -> web.Response:
        hook = Hook(
            request.method,
            self.url.removesuffix("/hook") + request.path_qs,
            {name.lower(): value for name, value in request.headers.items()},
            dict(request.query),
            await request.read(),
        )
        self.on_hook(hook)
        self.hooks.put_nowait(hook)
        return web.Response(
            status=self.statuses.pop(0) if self.statuses else 200, text=self.answer(hook)
        )


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Bench:
    """A running sandbox, a client, and a receiver of its receipts."""

    sandbox: Sandbox
    client: aiohttp.ClientSession
    receiver: Receiver

    async def script(self, **script: Any) -> None:
        await self.control("PUT", "script", script)

    async def control(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        async with self.client.request(
            method, f"{self.sandbox.url}/_sandbox/{path}", json=body
        ) as reply:
            answer = await reply.json()
            assert reply.status == status, answer
            return answer

    async def accepted(self, provider: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.control(
            "GET", f"accepted?provider={provider}" if provider else "accepted"
        )
        return found

    async def post(self, path: str, **how: Any) -> tuple[int, dict[str, str], Any]:
        url = path if path.startswith("http") else self.sandbox.url + path
        async with self.client.post(url, **how) as reply:
            body = (
                await reply.json()
                if reply.content_type == "application/json"
                else await reply.text()
            )
            return (
                reply.status,
                {name.lower(): value for name, value in reply.headers.items()},
                body,
            )

    async def sms(
        self, to: str = PHONE, text: str = "Ваш код 4821", **fields: str
    ) -> tuple[int, dict[str, str], Any]:
        form = {
            "To": to,
            "From": "Shop",
            "Body": text,
            "StatusCallback": f"{self.receiver.url}?ref=r-1",
            **fields,
        }
        path = f"/2010-04-01/Accounts/{ACCOUNTS.twilio_account_sid}/Messages.json"
        return await self.post(path, data=form, headers={"Authorization": twilio_login()})


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what has no event of its own."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if await true():
                return
            await asyncio.sleep(0.01)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def twilio_login() -> str:
    return basic(ACCOUNTS.twilio_account_sid, ACCOUNTS.twilio_auth_token)


@asynccontextmanager
async def benched(**config: Any) -> AsyncIterator[Bench]:
    """
    A bench whose receipts are "never" unless a test scripts them, and whose seconds pass quickly.
    """
    settings = {"receipts": (), "time_scale": 0.01, "seed": 7, **config}
    async with receiving() as receiver, aiohttp.ClientSession() as client:
        sandbox = Sandbox()
        await sandbox.start(SandboxConfig(**settings))
        try:
            yield Bench(sandbox, client, receiver)
        finally:
            await sandbox.stop()
