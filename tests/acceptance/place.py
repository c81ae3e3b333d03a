"""
A whole installation in this process: the service, the sandbox, five channels, real sockets between
them.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from orchestrator.demo.stack import DemoStack

TERMINAL = {"succeeded", "exhausted", "suppressed", "expired", "cancelled"}
PERSON = {
    "id": "olena",
    "first_name": "Олена",
    "locale": "uk-UA",
    "time_zone": "Europe/Kyiv",
    "phone": "+380501234567",
    "email": "olena@example.com",
}
TEMPLATE = {
    "sms.text.j2": "Код {{ event.n }}",
    "viber.text.j2": "Привіт {{ event.n }}",
    "whatsapp.yaml.j2": 'template: hello\nlanguage: uk\nbody: ["{{ event.n }}"]',
    "telegram.text.j2": "Вітаємо {{ event.n }}",
    "telegram.yaml.j2": 'buttons: [{title: "Ні", answer: "no"}]',
    "email.subject.j2": "Лист {{ event.n }}",
    "email.text.j2": "Текст {{ event.n }} {{ 'https://shop.example.com/x' | link }}",
    "email.html.j2": (
        "<body><a href=\"{{ 'https://shop.example.com/x' | link }}\">далі {{ event.n }}</a></body>"
    ),
    "web_push.title.j2": "Вітання {{ event.n }}",
    "web_push.text.j2": "Текст",
    "mobile_push.title.j2": "Вітання {{ event.n }}",
    "mobile_push.text.j2": "Текст",
    "mobile_push.yaml.j2": 'url: "shop://tales/{{ event.n }}"\nbadge: "{{ event.n }}"',
}


class Place(DemoStack):
    """``cascade`` is the YAML of the one policy's steps, ``more`` its other keys."""

    def __init__(
        self, directory: Path, cascade: str, more: str = "class: transactional\ndeadline: 1h\n"
    ) -> None:
        super().__init__(directory, seed=1)
        self._policy = (
            f"policy: tale\ntrigger: {{event: tale}}\ntopic: tales\n{more}cascade:\n{cascade}"
        )
        self._ids = itertools.count(1)

    def _write_files(self) -> None:
        super()._write_files()
        (self.directory / "policies" / "tale.yaml").write_text(self._policy)
        folder = self.directory / "templates" / "tale"
        folder.mkdir()
        for name, text in TEMPLATE.items():
            (folder / name).write_text(text)
        config = self.directory / "kaskad.yaml"
        config.write_text(config.read_text().replace("timeout: 50m", "timeout: 1s"))

    async def _script(self) -> None:
        await self.script({})
        await self._control(
            "PUT",
            "callbacks",
            {"meta": f"{self.url}/v1/receipts/meta", "twilio": f"{self.url}/v1/receipts/twilio"},
        )

    async def script(self, script: dict[str, Any]) -> None:
        """Script how the stand-ins behave from now on."""
        await self._control("PUT", "script", script)

    async def control(self, method: str, what: str, body: Any) -> Any:
        return await self._control(method, what, body)

    async def notify(self, **person: Any) -> str:
        """Publish the event for Olena, changed by ``person``. Return the message's id."""
        number = next(self._ids)
        event = {
            "specversion": "1.0",
            "id": f"e{number}",
            "source": "tests",
            "type": "tale",
            "data": {"n": number, "recipient": {**PERSON, **person}},
        }
        (result,) = await self.publish([event])
        return str(result["messages"][0])

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path) as answer:
            return await answer.json()

    async def until(self, id: str, wanted: Any, seconds: float = 20) -> dict[str, Any]:
        """The message as soon as ``wanted(message)`` holds."""
        async with asyncio.timeout(seconds):
            while True:
                message: dict[str, Any] = await self.get(f"/v1/messages/{id}")
                if wanted(message):
                    return message
                await asyncio.sleep(0.03)

    async def ended(self, id: str) -> dict[str, Any]:
        return await self.until(id, lambda message: message["status"] in TERMINAL)

    async def taken(self, provider: str) -> list[dict[str, Any]]:
        """The messages a stand-in has accepted."""
        async with self.session.get(
            f"{self.sandbox.url}/_sandbox/accepted", params={"provider": provider}
        ) as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found
