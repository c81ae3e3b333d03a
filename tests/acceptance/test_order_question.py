"""
The worked example of docs/two-way.md, with everything real: a person asks back about an order, the
shop's backend hears of it by webhook and answers over the API, on the channel of the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.demo.stack import EVENT, DemoStack, free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANSWER = "Завтра до обіду, відділення 12."
PROVIDERS = {"viber": "infobip", "sms": "twilio"}
REFUSED = {"answer": "refuse"}
BUYER = {
    "id": "user-42",
    "first_name": "Олена",
    "gender": "female",
    "locale": "uk-UA",
    "phone": "+380501234567",
}
SHIPPED = {**EVENT, "data": {**EVENT["data"], "recipient": BUYER}}


class Shop(DemoStack):
    """
    The worked installation and the shop's backend, which answers each question about an order, as
    often as it hears of it. ``questions`` are the replies that it got, ``answers`` what the API
    said to its answers; ``answered`` is set after them.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, seed=1)
        self.questions: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self.hook = f"http://127.0.0.1:{free_port()}"

    def _write_files(self) -> None:
        super()._write_files()
        config = self.directory / "kaskad.yaml"
        hooks = f'statuses: {{webhooks: [{{url: "{self.hook}/", secret: {SECRET}}}]}}\n'
        allowed = f'allow: ["{self.hook}", '
        config.write_text(config.read_text().replace("allow: [", allowed) + hooks)

    async def _script(self) -> None:
        """Everybody reads everything; the test says who is not there."""

    async def script(self, providers: dict[str, Any]) -> None:
        await self._control("PUT", "script", {"providers": providers})

    async def take(self, request: web.Request) -> web.Response:
        """A status event: of a question, answer it, twice, as after a repeated webhook."""
        event = await request.json()
        data = event["data"]
        if event["type"] == "kaskad.reply" and data["policy"] == "order_shipped":
            self.questions.append(data)
            url = f"{self.url}/v1/recipients/{data['recipient']}/messages"
            body = {"channel": data["channel"], "text": ANSWER}
            for _ in range(2):
                head = {"Idempotency-Key": event["id"]}
                async with self.session.post(url, json=body, headers=head) as answer:
                    self.answers.append(await answer.json())
            self.answered.set()
        return web.Response()

    async def texts(self, channel: str) -> list[str]:
        """What has arrived on the phone, the oldest first."""
        url = f"{self.sandbox.url}/_sandbox/accepted"
        async with self.session.get(url, params={"provider": PROVIDERS[channel]}) as answer:
            return [one["content"]["text"] for one in await answer.json()]

    async def arrived(self, channel: str, count: int) -> list[str]:
        """The texts once there are so many."""
        async with asyncio.timeout(30):
            while True:
                if len(found := await self.texts(channel)) >= count:
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Shop]:
    shop = Shop(directory)
    backend = web.Application()
    backend.router.add_post("/", shop.take)
    runner = web.AppRunner(backend)
    await runner.setup()
    async with shop:
        port = int(shop.hook.rpartition(":")[2])
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield shop
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("channel", ["viber", "sms"])
async def test_a_question_about_an_order_is_answered_where_it_was_asked(
    tmp_path: Path, channel: str
) -> None:
    async with opened(tmp_path) as shop:
        there = {"receipts": [["delivered", 0.05]]}
        away = {name: REFUSED for one, name in PROVIDERS.items() if one != channel}
        await shop.script({PROVIDERS[channel]: there, "meta": REFUSED, **away})
        await shop.publish([SHIPPED])
        await shop.arrived(channel, 1)
        await shop.reply(PROVIDERS[channel], BUYER["phone"], "Коли приїде?")
        shipped, *others = await shop.arrived(channel, 3)
        await asyncio.wait_for(shop.answered.wait(), 30)
        (question,) = shop.questions
        assert (question["text"], question["channel"]) == ("Коли приїде?", channel)
        assert question["session_until"] is not None
        assert "20450000000001" in shipped or "70001" in shipped
        assert set(others) == {
            "Олено, запитання отримали. Менеджер уже дивиться і відповість тут.",
            ANSWER,
        }
        first, second = (one["message"] for one in shop.answers)
        assert first == second, "one answer, however often it is sent"
        assert len(await shop.texts(channel)) == 3
