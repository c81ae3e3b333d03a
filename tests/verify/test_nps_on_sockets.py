"""
A question to people in Viber and by SMS, with a real service, in the providers' own wire formats:
whatever they do to answer is the same choice, once, also over a kill -9 and a callback that comes
again.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from orchestrator.sandbox import Accounts
from tests.support.ports import free_port
from tests.verify.installation import Installation
from tests.verify.kafka_group import until

pytestmark = pytest.mark.verify

SHIPPED = Path(__file__).parents[2]
MARKS = """\
policy: marks
trigger: {event: shop.marks.asked}
class: service
cascade:
  - {channel: viber, wait: {replied: 1h}}
  - {channel: sms, wait: {replied: 1h}}
"""
CHOICES = """\
choices: [{id: "5", title: "Чудово"}, {id: "3", title: "Так собі"}, {id: "1", title: "Погано"}]
"""
BOT = """\
    - provider: viber_bot
      adapter: viber_bot
      base_url: {sandbox}
      auth_token: {token}
      sender: Shop
"""
SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"
WHY = "Дякуємо за відвертість"
NOT_IN_VIBER = {"answer": "refuse"}


class Person(NamedTuple):
    """
    ``provider`` is where the question reaches them; ``when`` they answer: before the service is
    killed, while it is away, or after it has come back.
    """

    id: str
    event: str
    provider: str
    says: str
    choice: str | None
    when: str = "before"
    why: bool = False

    @property
    def address(self) -> str:
        number = next(place for place, one in enumerate(PEOPLE) if one.id == self.id)
        return f"bot-user-{number}" if self.provider == "viber_bot" else f"+3805012345{number:02d}"

    @property
    def channel(self) -> str:
        return "sms" if self.provider == "twilio" else "viber"

    @property
    def profile(self) -> dict[str, str]:
        kind = "viber_bot_id" if self.provider == "viber_bot" else "phone"
        return {"id": self.id, "locale": "uk-UA", kind: self.address}


ORDER, ASKED = "shop.order.received", "shop.marks.asked"
PEOPLE = (
    # a mark from 0 to 10
    Person("bot-button", ORDER, "viber_bot", "9", "9"),
    Person("viber-digit", ORDER, "infobip", "9", "9", "away"),
    Person("sms-digit", ORDER, "twilio", "9", "9", "after"),
    Person("sms-exclaims", ORDER, "twilio", " 10! ", "10"),
    Person("bot-six", ORDER, "viber_bot", "6", "6", "away", why=True),
    Person("viber-three", ORDER, "infobip", "3", "3", "after", why=True),
    Person("sms-zero", ORDER, "twilio", "0.", "0", why=True),
    Person("bot-seven", ORDER, "viber_bot", "7", "7", "after"),
    Person("sms-thanks", ORDER, "twilio", "Дякую", None),
    # words, as numbered lines where there are no buttons
    Person("words-button", ASKED, "viber_bot", "5", "5"),
    Person("words-viber-digit", ASKED, "infobip", "5", "5"),
    Person("words-sms-digit", ASKED, "twilio", "5", "5", "away"),
    Person("words-viber-word", ASKED, "infobip", "чудово!", "5", "after"),
    Person("words-sms-word", ASKED, "twilio", "ЧУДОВО", "5"),
    Person("words-bot-word", ASKED, "viber_bot", "Чудово :)", "5", "away"),
)
ASKED_WHY = sorted(one.id for one in PEOPLE if one.why)


class Backend:
    """
    Takes status events of the service, and hands providers' callbacks on to it, each as it came and
    as often as it is asked.
    """

    def __init__(self, service: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.replies: dict[str, dict[str, Any]] = {}
        """``kaskad.reply`` by its own id: a webhook may bring an event twice."""
        self.callbacks: list[tuple[str, dict[str, str], bytes]] = []
        self._service = service

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/statuses", self.status)
        app.router.add_post("/v1/receipts/{provider:.*}", self.callback)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        async with aiohttp.ClientSession() as self._session:
            yield
            await runner.cleanup()

    async def status(self, request: web.Request) -> web.Response:
        body = await request.json()
        for one in body if isinstance(body, list) else [body]:
            if one["type"] == "kaskad.reply":
                self.replies[one["id"]] = one["data"]
        return web.Response(status=204)

    async def callback(self, request: web.Request) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length", "transfer-encoding", "connection")
        }
        given = (request.path_qs, headers, await request.read())
        self.callbacks.append(given)
        return web.Response(status=await self.hand_on(*given))

    async def hand_on(self, path: str, headers: dict[str, str], body: bytes) -> int:
        try:
            async with self._session.post(
                self._service + path, data=body, headers=headers
            ) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 502

    async def repeat_everything(self) -> None:
        """Every callback that any provider has made so far, once more and byte for byte."""
        for given in list(self.callbacks):
            assert await self.hand_on(*given) == 200

    def of(self, person: str) -> list[dict[str, Any]]:
        return [one for one in self.replies.values() if one["recipient"] == person]


def installation(folder: Path) -> Installation:
    """The policies and templates of the worked survey as they are shipped, and one with words."""
    names = ("nps", "nps_why")
    policies = {name: (SHIPPED / f"config/policies/{name}.yaml").read_text() for name in names}
    files = [file for name in names for file in (SHIPPED / "templates" / name).iterdir()]
    templates = {f"{file.parent.name}/{file.name}": file.read_text() for file in files}
    for channel in ("viber", "sms"):
        templates[f"marks/{channel}.text.j2"] = "Як вам у нас?"
        templates[f"marks/{channel}.yaml.j2"] = CHOICES
    return Installation(folder, {**policies, "marks": MARKS}, templates)


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[tuple[Installation, Backend]]:
    place = installation(folder)
    backend = Backend(place.url)
    async with backend.serving(), place:
        bot = BOT.format(sandbox=place.sandbox_url, token=Accounts().viber_bot_token)
        more = f'statuses: {{webhooks: [{{url: "{backend.url}/statuses", secret: {SECRET}}}]}}\n'
        written = place.config.read_text().replace("  sms:\n", f"{bot}  sms:\n", 1) + more
        written = written.replace(f'public_url: "{place.url}"', f'public_url: "{backend.url}"')
        written = written.replace("egress: {allow: [", f'egress: {{allow: ["{backend.url}", ')
        place.config.write_text(written)
        addresses = {
            f"infobip:{one.address}": NOT_IN_VIBER for one in PEOPLE if one.provider == "twilio"
        }
        await place.script({"addresses": addresses})
        hook = {"viber_bot": f"{backend.url}/v1/receipts/viber_bot"}
        async with place.session.put(f"{place.sandbox_url}/_sandbox/callbacks", json=hook) as said:
            assert said.status == 200, await said.text()
        await place.start()
        yield place, backend


async def ask(place: Installation) -> dict[str, str]:
    """Ask everybody; their messages, by person, once the questions are at their providers."""
    messages: dict[str, str] = {}
    for number, one in enumerate(PEOPLE):
        event = {
            "specversion": "1.0",
            "id": f"e-{number}",
            "source": "shop",
            "type": one.event,
            "data": {"order_id": str(number), "recipient": one.profile},
        }
        message = await place.publish(event)
        assert message is not None
        messages[one.id] = message

    async def asked() -> bool:
        taken = {(one["provider"], one["address"]) for one in place.accepted()}
        return taken >= {(one.provider, one.address) for one in PEOPLE}

    await until(asked, 60, place.log_tail)
    return messages


async def answer(place: Installation, when: str) -> None:
    """The people of this time answer; of a service that is away the provider will try again."""
    for one in PEOPLE:
        if one.when == when:
            result = await write(place, one, one.says)
            assert (result == "200") == (when != "away"), result


async def write(place: Installation, person: Person, text: str) -> str:
    """What the provider's callback was answered."""
    body = {"provider": person.provider, "from": person.address, "text": text}
    async with place.session.post(f"{place.sandbox_url}/_sandbox/inbound", json=body) as said:
        found: dict[str, Any] = await said.json()
        assert said.status == 200, found
        return str(found["answered"])


async def test_whatever_people_do_to_answer_is_one_choice_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as (place, backend):
        messages = await ask(place)
        await answer(place, "before")
        place.kill()
        await answer(place, "away")
        await place.start()
        await answer(place, "after")

        async def all_there() -> bool:
            return {one["recipient"] for one in backend.replies.values()} >= messages.keys()

        await until(all_there, 60, place.log_tail)
        await until(lambda: asked_why(place), 60, place.log_tail)
        await backend.repeat_everything()
        place.kill()
        await place.start()
        await backend.repeat_everything()

        # what comes last is told last, and it belongs to the second question
        last = next(one for one in PEOPLE if one.id == "sms-zero")
        assert await write(place, last, "Довго чекала") == "200"
        await until(lambda: said_why(backend, last), 60, place.log_tail)
        for one in PEOPLE:
            assert_answered(one, await place.message(messages[one.id]), backend)
        assert [one["policy"] for one in backend.of(last.id)] == ["nps", "nps_why"]
        assert await asked_why(place)
        assert await place.drain() == 0


def assert_answered(person: Person, message: dict[str, Any], backend: Backend) -> None:
    """One reply in its history and one in an event, on the channel on which they were asked."""
    first = backend.of(person.id)[0]
    policy = "nps" if person.event == ORDER else "marks"
    assert (first["choice"], first["channel"], first["policy"], first["message"]) == (
        person.choice,
        person.channel,
        policy,
        message["id"],
    ), person
    assert len(backend.of(person.id)) == (2 if person.id == "sms-zero" else 1), person
    assert [(one["choice"], one["channel"]) for one in message["replies"]] == [
        (person.choice, person.channel)
    ], person
    assert (message["status"], message["succeeded_by"]) == ("succeeded", person.channel), person


async def asked_why(place: Installation) -> bool:
    """Whether exactly those with 6 or less were asked, where they had answered, and once each."""
    asked = [(one["provider"], one["address"]) for one in place.accepted() if WHY in str(one)]
    wanted = [(one.provider, one.address) for one in PEOPLE if one.why]
    assert not Counter(asked) - Counter(wanted), f"asked why without a reason, or twice: {asked}"
    params = {"policy": "nps_why"}
    async with place.session.get(f"{place.url}/v1/messages", params=params) as said:
        found = sorted(one["recipient"] for one in (await said.json())["items"])
    assert not Counter(found) - Counter(ASKED_WHY), found
    return found == ASKED_WHY and len(asked) == len(wanted)


async def said_why(backend: Backend, person: Person) -> bool:
    return len(backend.of(person.id)) > 1
