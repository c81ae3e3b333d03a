"""A running service on real sockets, with one policy by SMS and a log instead of a provider."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from orchestrator.app.app import App
from tests.support.ports import free_port

CONFIG = """\
store: "{store}"
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", auth: off}}
channels:
  sms: [{{provider: paper, adapter: log, path: {folder}/sent.jsonl}}]
{more}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
"""
POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
cascade: [{{channel: sms}}]
"""


def lay_out(folder: Path, store: str = "sqlite:///./k.db", more: str = "") -> Path:
    """A configuration whose event ``shop.order`` becomes an SMS."""
    put_policy(folder, "order", "Order {{ event.n }}")
    (folder / "governance.yaml").write_text("sms_countries: [UA]\n")
    config = folder / "kaskad.yaml"
    text = CONFIG.format(store=store, port=free_port(), admin=free_port(), folder=folder, more=more)
    config.write_text(text, "utf-8")
    return config


def put_policy(
    folder: Path, name: str, template: str, policy: str = POLICY, channel: str = "sms"
) -> None:
    """A policy and its text for a channel."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "policies" / f"{name}.yaml").write_text(policy.format(name=name), "utf-8")
    (folder / "templates" / name).mkdir(parents=True, exist_ok=True)
    (folder / "templates" / name / f"{channel}.text.j2").write_text(template, "utf-8")


class Site:
    """The service as its callers see it."""

    def __init__(self, app: App, session: aiohttp.ClientSession) -> None:
        self.app = app
        self._session = session
        self._numbers = itertools.count(1)
        settings = app.configuration.settings.http
        self.public, self.admin = f"http://{settings.listen}", f"http://{settings.admin}"

    def event(self, kind: str = "order", **data: Any) -> dict[str, Any]:
        """An event of ``shop.<kind>`` for a person of its own."""
        number = next(self._numbers)
        person = {"id": f"p{number}", "phone": f"+38050{number:07d}"}
        return {
            "specversion": "1.0",
            "id": str(number),
            "source": "shop",
            "type": f"shop.{kind}",
            "data": {"n": number, "recipient": person, **data},
        }

    async def post(self, *events: dict[str, Any]) -> tuple[int, Any]:
        """The status and the answer to one event, or to a batch of several."""
        mode = "-batch" if len(events) > 1 else ""
        body: Any = list(events) if len(events) > 1 else events[0]
        headers = {"content-type": f"application/cloudevents{mode}+json"}
        async with self._session.post(
            f"{self.public}/v1/events", json=body, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def publish(self, kind: str = "order", **data: Any) -> str:
        """The id of the message that one event has made."""
        status, answer = await self.post(self.event(kind, **data))
        assert status == 202, answer
        return str(answer["results"][0]["messages"][0])

    async def message(self, id: str) -> dict[str, Any]:
        async with self._session.get(f"{self.public}/v1/messages/{id}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def ended(self, id: str, seconds: float = 30) -> dict[str, Any]:
        """The message once it is finished."""

        async def finished() -> bool:
            return (await self.message(id))["finished_at"] is not None

        await until(finished, seconds)
        return await self.message(id)

    async def receipt(self, provider: str, body: bytes) -> int:
        """The status of the answer to a provider's webhook."""
        url = f"{self.public}/v1/receipts/{provider}"
        async with self._session.post(url, data=body) as answer:
            return answer.status

    async def status(self, path: str) -> int:
        """The status of a probe on the admin listener."""
        async with self._session.get(f"{self.admin}{path}") as answer:
            return answer.status


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Site]:
    """The service of a configuration, until the end of the block."""
    app = App(config, {})
    await app.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Site(app, session)
    finally:
        await app.stop()
