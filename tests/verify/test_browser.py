"""The pages, as people meet them: in a real browser, on a screen as wide as a phone's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator.sandbox import Sandbox, SandboxConfig
from tests.verify.chromium import Chromium
from tests.verify.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.verify]

POLICY = """\
policy: news
trigger: {event: shop.news}
class: transactional
topic: weekly_news
cascade:
  - channel: email
"""
TEMPLATES = {
    "news/email.subject.j2": "Новини",
    "news/email.text.j2": "Привіт! Відписатися: {{ unsubscribe_url }}",
}
MAIL = """\
  email:
    - provider: relay
      adapter: smtp
      host: 127.0.0.1
      port: {port}
      tls: none
      from: Shop <hello@shop.example.com>
"""


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    async with Chromium(tmp_path / "profile") as found:
        yield found


async def mailed(place: Installation, address: str) -> str:
    """The text of the mail that the sandbox took for an address."""
    for _ in range(200):
        async with place.session.get(
            f"{place.sandbox_url}/_sandbox/accepted", params={"address": address}
        ) as answer:
            found: list[dict[str, Any]] = await answer.json()
        if found:
            return str(found[-1]["content"]["text"])
        await asyncio.sleep(0.05)
    raise AssertionError(f"no mail for {address}: {place.log_tail()}")


async def test_the_unsubscribe_page_asks_before_it_acts_and_then_keeps_its_word(
    browser: Chromium, tmp_path: Path
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    place = Installation(folder, {"news": POLICY}, TEMPLATES)
    place.add_channel(MAIL.format(port=place.smtp_port))
    async with place:
        await place.start()
        person = {"id": "olena", "email": "olena@example.com", "locale": "uk-UA"}
        given = {
            "specversion": "1.0",
            "id": "1",
            "source": "shop",
            "type": "shop.news",
            "data": {"recipient": person},
        }
        assert await place.publish(given)
        text = await mailed(place, "olena@example.com")
        url = next(word for word in text.split() if word.startswith(f"{place.url}/u/"))
        await browser.open(url)
        page = await browser.run("document.body.innerText")
        assert "Лише «weekly news» електронною поштою" in page
        assert await browser.run("document.documentElement.lang") == "uk"
        assert await browser.run("document.documentElement.scrollWidth <= innerWidth"), (
            "it must fit a phone"
        )
        async with place.session.get(f"{place.url}/v1/recipients/olena/consents") as answer:
            assert (await answer.json())["consents"] == [], "looking must not unsubscribe"
        await browser.run("document.querySelector('button[value=topic]').click()")
        await browser.until_text("Готово")
        async with place.session.get(f"{place.url}/v1/recipients/olena/consents") as answer:
            (entry,) = (await answer.json())["consents"]
        assert (entry["channel"], entry["topic"], entry["state"]) == ("email", "weekly_news", "out")
        message = await place.publish({**given, "id": "2"})
        assert message is not None
        assert (await place.message(message))["reason"] == "opted_out"
        assert await place.drain() == 0


async def test_the_sandbox_shows_everybody_s_phone(browser: Chromium) -> None:
    sandbox = Sandbox()
    await sandbox.start(SandboxConfig(seed=1))
    accounts = sandbox.common.accounts
    form = {"To": "+380501234567", "From": accounts.twilio_from, "Body": "Ваш код 4711"}
    url = f"{sandbox.url}/2010-04-01/Accounts/{accounts.twilio_account_sid}/Messages.json"
    login = aiohttp.encode_basic_auth(accounts.twilio_account_sid, accounts.twilio_auth_token)
    try:
        await browser.open(sandbox.url + "/")
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=form, headers={"Authorization": login}) as answer,
        ):
            assert answer.status == 201
        await browser.until_text("Ваш код 4711")
        assert "+380501234567" in (await browser.run("document.body.innerText")).replace(" ", "")
        assert await browser.run("document.documentElement.scrollWidth <= innerWidth"), (
            "it must fit a phone"
        )
    finally:
        await sandbox.stop()
