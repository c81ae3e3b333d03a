"""A provider that was renamed or removed: whose receipts are taken, and who says what is open."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from orchestrator.channels import new_webhook_secret, webhook_key, webhook_signature
from orchestrator.check.judge import load_configuration
from orchestrator.check.left_open import left_open
from tests.app.site import Site, lay_out, put_policy, running, until
from tests.support.ports import free_port

FORMER, PRESENT = new_webhook_secret(), new_webhook_secret()
POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
cascade: [{{channel: viber, wait: {{delivered: 30m}}}}, {{channel: sms}}]
"""


class Place:
    """An installation whose Viber provider is changed between starts and reloads."""

    def __init__(self, folder: Path, store: str) -> None:
        self.port = free_port()
        self.config = lay_out(folder, store=store, more=self.provider("old", FORMER))
        put_policy(folder, "parcel", "Parcel", POLICY, "viber")
        (folder / "templates" / "parcel" / "sms.text.j2").write_text("Parcel")
        self._taken = 0

    def provider(self, name: str, secret: str, aliases: str = "") -> str:
        settings = f'adapter: webhook, url: "http://127.0.0.1:{self.port}/", secret: {secret}'
        return f"  viber: [{{provider: {name}, {settings}{aliases}}}]"

    def change(self, name: str, secret: str, aliases: str = "") -> None:
        lines = self.config.read_text().splitlines()
        changed = [
            self.provider(name, secret, aliases) if line.startswith("  viber:") else line
            for line in lines
        ]
        self.config.write_text("\n".join(changed) + "\n")

    async def take(self, request: web.Request) -> web.Response:
        self._taken += 1
        return web.json_response({"id": f"taken-{self._taken}"})

    async def sent(self, site: Site) -> str:
        """A message that waits for its receipt."""
        id = await site.publish("parcel")

        async def accepted() -> bool:
            attempts = (await site.message(id))["attempts"]
            return bool(attempts) and attempts[0]["outcome"] == "accepted"

        await until(accepted)
        return id

    async def receipt(self, site: Site, name: str, secret: str, id: str = "taken-1") -> int:
        """The status of a provider's report that a message was delivered."""
        body, at = json.dumps({"id": id, "state": "delivered"}).encode(), str(int(time.time()))
        signed = webhook_signature(webhook_key(secret), "w", at, body)
        headers = {"webhook-id": "w", "webhook-timestamp": at, "webhook-signature": signed}
        url = f"{site.public}/v1/receipts/{name}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers) as answer,
        ):
            return answer.status

    async def problems(self) -> list[str]:
        return [one.what for one in await left_open(load_configuration(self.config, {}))]


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    embedded = request.param == "sqlite"
    store = "sqlite:///./k.db" if embedded else request.getfixturevalue("postgres_url")
    made = Place(tmp_path, store)
    async with receiver(made):
        yield made


@asynccontextmanager
async def receiver(place: Place) -> AsyncIterator[None]:
    """The system that the provider's messages go to."""
    app = web.Application()
    app.router.add_post("/", place.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", place.port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("named", ["old", "new"])
async def test_after_a_restart_a_provider_takes_the_receipts_of_its_former_name(
    place: Place, named: str
) -> None:
    async with running(place.config) as site:
        id = await place.sent(site)
    place.change("new", PRESENT, ", aliases: [older, old]")
    assert await place.problems() == []
    async with running(place.config) as site:
        assert await place.receipt(site, named, FORMER) == 403, "today's secrets count"
        assert (await site.message(id))["status"] == "running"
        assert await place.receipt(site, named, PRESENT) == 200
        assert (await site.message(id))["status"] == "succeeded"


async def test_a_removed_provider_takes_receipts_while_its_attempts_are_open_and_no_longer(
    place: Place,
) -> None:
    async with running(place.config) as site:
        first, second = await place.sent(site), await place.sent(site)
        place.change("new", PRESENT)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{site.admin}/-/reload") as answer,
        ):
            assert await answer.json() == {"problems": [], "open_attempts": {"old": 2}}
        (problem,) = await place.problems()
        assert problem.startswith("2 attempt(s) of the provider 'old' are open")
        assert await place.receipt(site, "old", FORMER) == 200
        assert await site.app.runtime.left_open() == {"old": 1}
        assert await place.receipt(site, "old", FORMER, "taken-2") == 200
        for id in (first, second):
            assert (await site.message(id))["status"] == "succeeded"
        assert await place.receipt(site, "old", FORMER) == 200, "it has not been asked again"
        assert await site.app.runtime.left_open() == {}
        assert await place.receipt(site, "old", FORMER) == 404
        assert await place.problems() == []


async def test_a_start_says_how_many_attempts_of_a_provider_nobody_can_report(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(place.config) as site:
        await place.sent(site)
        await place.sent(site)
    place.change("new", PRESENT)
    logged = ""
    async with running(place.config) as site:

        async def said() -> bool:
            nonlocal logged
            logged += capsys.readouterr().err
            return "providers.attempts_left_open" in logged

        await until(said)
        assert await place.receipt(site, "old", FORMER) == 404
    lines = (json.loads(line) for line in logged.splitlines() if line.startswith("{"))
    (warning,) = [one for one in lines if one["event"] == "providers.attempts_left_open"]
    assert (warning["level"], warning["provider"], warning["open_attempts"]) == (
        "warning",
        "old",
        2,
    )
    assert warning["receipts"] == "refused" and "aliases: [old]" in warning["fix"]
