"""The pages, as people meet them: in a real browser, on a screen as wide as a phone's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from orchestrator.sandbox import Sandbox, SandboxConfig
from tests.verify.chromium import Chromium
from tests.verify.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.verify]

WORKER = Path(__file__).parents[2] / "adapters" / "web_push" / "kaskad-sw.js"
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
        async with place.session.get(f"{place.sandbox_url}/_sandbox/accepted", params={"address": address}) as answer:
            found: list[dict[str, Any]] = await answer.json()
        if found:
            return str(found[-1]["content"]["text"])
        await asyncio.sleep(0.05)
    raise AssertionError(f"no mail for {address}: {place.log_tail()}")


async def test_the_unsubscribe_page_asks_before_it_acts_and_then_keeps_its_word(browser: Chromium, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    place = Installation(folder, {"news": POLICY}, TEMPLATES)
    place.add_channel(MAIL.format(port=place.smtp_port))
    async with place:
        await place.start()
        person = {"id": "olena", "email": "olena@example.com", "locale": "uk-UA"}
        given = {"specversion": "1.0", "id": "1", "source": "shop", "type": "shop.news", "data": {"recipient": person}}
        assert await place.publish(given)
        text = await mailed(place, "olena@example.com")
        url = next(word for word in text.split() if word.startswith(f"{place.url}/u/"))
        await browser.open(url)
        assert "Лише від теми «weekly news»" in await browser.run("document.body.innerText")
        assert await browser.run("document.documentElement.lang") == "uk"
        assert await browser.run("document.documentElement.scrollWidth <= innerWidth"), "it must fit a phone"
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


class Shop:
    """The shop's own site, which serves the worker, and the address that reports go to, on another origin."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()

    async def __aenter__(self) -> Shop:
        site, reports = web.Application(), web.Application()
        site.router.add_get("/", self._page)
        site.router.add_get("/kaskad-sw.js", self._worker)
        site.router.add_get("/cart", self._page)
        reports.router.add_post("/v1/receipts/vapid", self._report)
        self._runners = []
        ports = []
        for app in (site, reports):
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._runners.append(runner)
            ports.append(runner.addresses[0][1])
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.report_url = f"http://127.0.0.1:{ports[1]}/v1/receipts/vapid"
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>shop</title><p>shop", content_type="text/html")

    async def _worker(self, request: web.Request) -> web.Response:
        return web.Response(text=WORKER.read_text(), content_type="text/javascript")

    async def _report(self, request: web.Request) -> web.Response:
        assert request.content_type == "text/plain"
        self.reports.append(json.loads(await request.text()))
        self.arrived.set()
        return web.Response(headers={"Access-Control-Allow-Origin": "*"})


async def test_the_service_worker_shows_a_push_and_reports_its_delivery(browser: Chromium) -> None:
    async with Shop() as shop:
        await browser.call("Browser.grantPermissions", session=None, origin=shop.url, permissions=["notifications"])
        await browser.open(shop.url)
        await browser.call("ServiceWorker.enable")
        await browser.run(
            "navigator.serviceWorker.register('/kaskad-sw.js').then(() => navigator.serviceWorker.ready).then(() => 1)"
        )
        registrations = browser.events["ServiceWorker.workerRegistrationUpdated"]
        await browser.until(lambda: any(one["registrations"] for one in registrations))
        registration = next(one["registrations"][0] for one in registrations if one["registrations"])
        payload = {
            "mid": "m1",
            "rt": "token",
            "report": shop.report_url,
            "title": "Кошик чекає",
            "text": "Два товари",
            "url": f"{shop.url}/cart",
        }
        await browser.call(
            "ServiceWorker.deliverPushMessage",
            origin=shop.url,
            registrationId=registration["registrationId"],
            data=json.dumps(payload, ensure_ascii=False),
        )
        await asyncio.wait_for(shop.arrived.wait(), 15)
        assert shop.reports == [{"mid": "m1", "rt": "token", "ev": "delivered"}]
        assert await notifications(browser) == [["Кошик чекає", "Два товари"]]
        await click(browser, shop)
        assert shop.reports[-1] == {"mid": "m1", "rt": "token", "ev": "clicked"}


async def notifications(browser: Chromium) -> list[list[str]]:
    """What is shown, once something is: the report may arrive before the notification does."""
    script = """
        navigator.serviceWorker.ready.then(r => r.getNotifications()).then(all => all.map(n => [n.title, n.body]))
    """
    for _ in range(100):
        if shown := await browser.run(script):
            return list(shown)
        await asyncio.sleep(0.1)
    return []


async def click(browser: Chromium, shop: Shop) -> None:
    """What a browser does when the notification is pressed; scripts may not make trusted events, so waiting is theirs."""
    targets = (await browser.call("Target.getTargets", session=None))["targetInfos"]
    worker = next(target for target in targets if target["type"] == "service_worker")
    attached = await browser.call("Target.attachToTarget", session=None, targetId=worker["targetId"], flatten=True)
    script = """
        ExtendableEvent.prototype.waitUntil = (work) => work;
        registration.getNotifications().then(([notification]) =>
            self.dispatchEvent(new NotificationEvent("notificationclick", {notification}))).then(() => 1)
    """
    shop.arrived.clear()
    await browser.call("Runtime.evaluate", attached["sessionId"], expression=script, awaitPromise=True)
    await asyncio.wait_for(shop.arrived.wait(), 15)


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
        assert await browser.run("document.documentElement.scrollWidth <= innerWidth"), "it must fit a phone"
    finally:
        await sandbox.stop()
