"""
Status events to a signed webhook, on a real socket: retried until they are taken, in order, and
ended by a 410.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kaskad_client import verify_webhook
from orchestrator.core.policy import Policy, Step
from orchestrator.statuses import outbox as outboxes
from orchestrator.statuses.outbox import Outbox
from orchestrator.statuses.sinks import WebhookSink, sink_name
from tests.engine.world import START, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))


class Receiver:
    """Answers with the statuses it was given, then 204; records what it has taken."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.tried: list[str] = []
        self.taken: list[str] = []

    async def post(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = verify_webhook(SECRET, request.headers, body, clock=lambda: START / 1000)
        self.tried.append(event["type"])
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.taken.append(event["type"])
        return web.Response(status=status)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield found, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def deliver(world: World, url: str, receiver: Receiver, enough: int) -> None:
    """Run the outbox until so many events were taken."""
    outbox = Outbox(
        world.engine, world.store, [WebhookSink(url, SECRET, lambda: world.now)], lambda: world.now
    )
    await outbox.start()
    async with asyncio.timeout(20):
        while len(receiver.taken) < enough:  # noqa: ASYNC110  the receiver is another program
            await asyncio.sleep(0.02)
    await outbox.stop()


async def test_every_change_is_delivered_once(receiver: tuple[Receiver, str]) -> None:
    found, url = receiver
    async with World(SMS, emits_statuses=True) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        await deliver(world, url, found, 5)
        assert found.taken[0] == "kaskad.message.accepted"
        assert sorted(found.taken) == sorted(set(found.taken))
        assert "kaskad.message.succeeded" in found.taken


async def test_what_was_not_taken_is_tried_again_with_the_same_id(
    receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "FIRST_PAUSE_SECONDS", 0.05)
    found, url = receiver
    found.answers = [500, 302]
    async with World(SMS, emits_statuses=True) as world:
        await world.publish()
        await deliver(world, url, found, 1)
        assert found.tried == ["kaskad.message.accepted"] * 3
        assert await world.store.outbox(sink_name(url), 10) == []


async def test_a_receiver_that_is_gone_is_left_alone(receiver: tuple[Receiver, str]) -> None:
    found, url = receiver
    found.answers = [410]
    async with World(SMS, emits_statuses=True) as world:
        await world.publish()
        outbox = Outbox(
            world.engine,
            world.store,
            [WebhookSink(url, SECRET, lambda: world.now)],
            lambda: world.now,
        )
        await outbox.start()
        async with asyncio.timeout(10):
            while not found.tried:  # noqa: ASYNC110  the receiver is another program
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await world.publish("2")
        outbox.poke()
        await asyncio.sleep(0.2)
        await outbox.stop()
        assert len(found.tried) == 1


async def test_a_receiver_that_was_gone_by_mistake_gets_everything_in_the_end(
    receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "LONGEST_PAUSE_SECONDS", 0.05)
    found, url = receiver
    found.answers = [410, 410, 410]
    states: list[bool] = []
    async with World(SMS, emits_statuses=True) as world:
        await world.publish()
        sink = WebhookSink(url, SECRET, lambda: world.now)
        outbox = Outbox(
            world.engine, world.store, [sink], lambda: world.now, lambda _, up: states.append(up)
        )
        await outbox.start()
        async with asyncio.timeout(20):
            while not found.taken:  # noqa: ASYNC110  the receiver is another program
                await asyncio.sleep(0.02)
        await outbox.stop()
    assert states[0] and not states[1] and states[-1]


async def test_new_events_do_not_shorten_the_pause_of_a_receiver_that_fails(
    receiver: tuple[Receiver, str],
) -> None:
    found, url = receiver
    found.answers = [500] * 50
    async with World(SMS, emits_statuses=True) as world:
        await world.publish("0")
        sink = WebhookSink(url, SECRET, lambda: world.now)
        outbox = Outbox(world.engine, world.store, [sink], lambda: world.now)
        await outbox.start()
        for n in range(1, 20):
            await world.publish(str(n))
            outbox.poke()
            await asyncio.sleep(0.01)
        await outbox.stop()
    assert len(set(found.tried)) <= len(found.tried) <= 32


def test_the_name_of_a_webhook_has_no_secret_of_its_url_in_it() -> None:
    url = "https://user:pass@hooks.example:8443/T000/canary-path?token=canary-query"
    assert sink_name(url).startswith("webhook:hooks.example:8443#")
    assert "canary" not in sink_name(url) and "pass" not in sink_name(url)
    assert sink_name(url) != sink_name(url + "2")
