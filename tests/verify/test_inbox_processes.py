"""The inbox over real processes: one that is killed, and two that share a store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.verify.inbox_place import CHANNEL
from tests.verify.installation import Installation

pytestmark = pytest.mark.verify

POLICY = """\
policy: letters
trigger: {event: shop.letter}
class: transactional
cascade:
  - channel: in_app
    wait: {read: 1h}
  - channel: sms
"""
TEMPLATES = {
    "letters/in_app.title.j2": "Letter {{ event.n }}",
    "letters/in_app.text.j2": "Dear you",
    "letters/sms.text.j2": "Letter {{ event.n }}",
}
MANY = 60
SECONDS = 30


class SharingInstallation(Installation):
    """An installation whose store may be a database that others use, too."""

    store = ""

    def _write(self) -> None:
        super()._write()
        if self.store:
            text = self.config.read_text()
            self.config.write_text(text.replace("sqlite:///./kaskad.db", self.store))

    async def call(self, method: str, path: str, **query: Any) -> Any:
        url = f"{self.url}/v1/inbox/olena{path}"
        async with self.session.request(method, url, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The counts of each change that a stream reports."""
        async with self.session.get(f"{self.url}/v1/inbox/olena/stream") as answer:

            async def counts() -> AsyncIterator[dict[str, Any]]:
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        yield json.loads(line.removeprefix(b"data: "))["counts"]

            yield counts()


def installation(folder: Path, store: str = "") -> SharingInstallation:
    folder.mkdir(exist_ok=True)
    made = SharingInstallation(folder, {"letters": POLICY}, TEMPLATES)
    made.store = store
    made.add_channel(CHANNEL)
    return made


def letter(n: int) -> dict[str, Any]:
    data = {"n": n, "recipient": {"id": "olena"}}
    return {
        "specversion": "1.0",
        "id": f"l-{n}",
        "source": "shop",
        "type": "shop.letter",
        "data": data,
    }


async def until(condition: Any) -> Any:
    """What an awaited condition gives, once it gives anything."""
    async with asyncio.timeout(SECONDS):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.05)


async def test_a_killed_process_leaves_each_accepted_message_one_item_which_can_be_read(
    tmp_path: Path,
) -> None:
    async with installation(tmp_path) as place:
        await place.start()
        publishing = asyncio.create_task(publish_all(place))
        await until(lambda: place.call("GET", "", limit=1))
        await asyncio.sleep(0.3)
        place.kill()
        accepted = set(filter(None, await publishing))
        await place.start()
        # what nobody was answered about is published again, as every client must
        accepted |= set(filter(None, await publish_all(place)))
        assert len(accepted) == MANY

        async def all_there() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = (await place.call("GET", "", limit=1000))["items"]
            return items if len(items) >= MANY else []

        items = await until(all_there)
        assert sorted(one["message"] for one in items) == sorted(accepted)
        place.kill()
        await place.start()
        shown = await place.call("GET", "", limit=1)
        await place.call("POST", f"/{items[0]['id']}/read")
        assert (await place.message(items[0]["message"]))["succeeded_by"] == "in_app"
        assert shown["counts"]["unread"] == MANY
        assert place.accepted() == [], "nobody got an SMS"


async def publish_all(place: SharingInstallation) -> list[str | None]:
    return [await place.publish(letter(n)) for n in range(MANY)]


async def test_a_stream_of_one_process_reports_what_another_has_changed(
    tmp_path: Path, postgres_url: str
) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(installation(tmp_path / name, postgres_url))
            for name in ("first", "second")
        ]
        await first.start()
        await second.start()
        async with asyncio.timeout(SECONDS), first.changes() as here, second.changes() as there:
            assert await anext(here) == await anext(there) == {"unseen": 0, "unread": 0}
            message = await first.publish(letter(1))
            assert await anext(here) == await anext(there) == {"unseen": 1, "unread": 1}
            await second.call("POST", f"/{message}-0/read")
            assert await anext(here) == await anext(there) == {"unseen": 0, "unread": 0}
        assert (await first.message(str(message)))["succeeded_by"] == "in_app"
