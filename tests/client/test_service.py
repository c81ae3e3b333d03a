"""The client against the running service, on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kaskad_client import (
    AsyncKaskad,
    Conflict,
    Event,
    InboxToken,
    Kaskad,
    NotFound,
    Recipient,
    shapes,
)
from orchestrator.api.openapi import document
from orchestrator.api.routes import ROUTES
from tests.app.site import Site, lay_out, running
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "client.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLENA = {"id": "olena", "phone": "+380501234567"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(lay_out(tmp_path)) as found:
        yield found


async def test_an_event_is_published_once_and_its_message_read(site: Site) -> None:
    async with AsyncKaskad(site.public, source="shop") as kaskad:
        event = Event(type="shop.order", data={"n": 1, "recipient": OLENA})
        first, again = await kaskad.publish(event), await kaskad.publish(event)
        assert (first.status, again.status) == ("accepted", "duplicate")
        assert first.messages == again.messages and len(first.messages) == 1
        [id] = first.messages
        await site.ended(id)
        message = await kaskad.message(id)
        assert (message["status"], message["recipient"]) == ("succeeded", "olena")
        assert message["trace"] and message["class"] == "transactional"
        assert [one["id"] async for one in kaskad.messages(recipient="olena")] == [id]
        with pytest.raises(Conflict, match="already_ended"):
            await kaskad.cancel(id)
        with pytest.raises(Conflict, match="another body"):
            await kaskad.publish("shop.order", {"n": 2, "recipient": OLENA}, id=event.id)


async def test_the_synchronous_client_does_the_same(site: Site) -> None:
    def use() -> None:
        with Kaskad(site.public, source="shop") as kaskad:
            odd = {"n": 1, "recipient": {**OLENA, "lang": "uk"}}
            result = kaskad.publish("shop.order", odd)
            assert [one.field for one in result.warnings] == ["data.recipient.lang"]
            assert kaskad.publish("shop.ordr", odd).nearest == "shop.order"
            [message] = kaskad.messages(policy="order")
            assert (message["id"],) == result.messages
            with pytest.raises(NotFound):
                kaskad.message("no-such-message")

    await asyncio.to_thread(use)


async def test_many_events_go_in_batches_and_every_list_is_read_to_its_end(site: Site) -> None:
    async with AsyncKaskad(site.public, source="shop") as kaskad:
        events = [Event(type="shop.order", data={"n": n, "recipient": OLENA}) for n in range(120)]
        bad = Event(type="shop.order", data={})
        late = Event(
            type="shop.order",
            data={"recipient": OLENA},
            time=datetime.now(UTC) + timedelta(hours=1),
        )
        results = await kaskad.publish_many([*events, bad, late])
        assert [one.id for one in results[:120]] == [one.id for one in events]
        assert {one.status for one in results[:120]} == {"accepted"}
        codes = [one.error.code for one in results if one.error is not None]
        assert codes == ["no_recipient", "time_in_future"]
        listed = [one["id"] async for one in kaskad.messages(recipient="olena")]
        assert len(set(listed)) == len(listed) == 120
        assert {one.status for one in await kaskad.publish_many(events)} == {"duplicate"}


async def test_people_and_their_tokens(site: Site) -> None:
    async with AsyncKaskad(site.public) as kaskad:
        stored: Recipient = await kaskad.put_recipient("a/b ї", {"phone": "+380501234567"})
        assert stored == await kaskad.recipient("+380501234567")
        await kaskad.put_consents("a/b ї", [{"state": "out", "channel": "sms"}])
        [consent] = await kaskad.consents("a/b ї")
        assert (consent["state"], consent["channel"]) == ("out", "sms")
        token: InboxToken = await kaskad.inbox_token("a/b ї", expires_in=60)
        assert token["recipient"] == "a/b ї" and token["token"]
        assert (await kaskad.export_recipient("a/b ї"))["recipient"]["id"] == "a/b ї"
        await kaskad.erase_recipient("a/b ї")
        with pytest.raises(NotFound):
            await kaskad.recipient("a/b ї")


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (shapes.Message, "FullMessage"),
        (shapes.Attempt, "Attempt"),
        (shapes.AttemptError, "Error"),
        (shapes.EventReference, "EventReference"),
        (shapes.Cost, "Cost"),
        (shapes.Consent, "StoredConsent"),
        (shapes.Recipient, "Recipient"),
        (shapes.InboxToken, "InboxToken"),
        (shapes.MessagePage, "Messages"),
    ],
)
def test_the_client_s_shapes_are_those_of_the_openapi_document(shape: Any, name: str) -> None:
    schema = document(ROUTES)["components"]["schemas"][name]
    assert set(shape.__annotations__) == set(schema["properties"])


def example() -> str:
    found = re.search(r"<!-- service.py -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert found is not None
    return found[1]


def test_the_first_event_and_a_verified_webhook_take_fifteen_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 15


def create_key(config: Path) -> str:
    command = [sys.executable, "-m", "orchestrator.cli", "keys", "create", "--scope", "events"]
    made = subprocess.run(
        [*command, "--config", str(config), "-o", "json"], capture_output=True, check=True
    )
    return str(json.loads(made.stdout)["key"])


async def test_the_example_of_the_docs_publishes_and_gets_its_webhook(tmp_path: Path) -> None:
    hook = free_port()
    url = f"http://127.0.0.1:{hook}/"
    statuses = f'statuses: {{webhooks: [{{url: "{url}", secret: {SECRET}}}]}}'
    config = lay_out(tmp_path, more=statuses)
    config.write_text(config.read_text("utf-8").replace("auth: off", "auth: keys"), "utf-8")
    key = await asyncio.to_thread(create_key, config)
    async with running(config) as site:
        program = example().replace("http://127.0.0.1:8080", site.public)
        (tmp_path / "service.py").write_text(program.replace("9000", str(hook)), "utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "clients" / "python"),
            "KASKAD_KEY": key,
            "HOOK_SECRET": SECRET,
        }
        service = await asyncio.create_subprocess_exec(
            sys.executable,
            str(tmp_path / "service.py"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        assert service.stdout is not None
        try:
            async with asyncio.timeout(60):
                said = (await service.stdout.readline()).decode().split()
        finally:
            service.kill()
            await service.communicate()
        assert said == ["kaskad.message.accepted", "user-42"]
