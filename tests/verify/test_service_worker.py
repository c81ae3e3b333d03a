"""
The service worker in a real browser: every push is shown, and a report that fails keeps nothing
from anybody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.verify.chromium import Chromium

pytestmark = [pytest.mark.browser, pytest.mark.verify]

WORKER = Path(__file__).parents[2] / "adapters" / "web_push" / "kaskad-sw.js"
SHOWN = """
    navigator.serviceWorker.ready.then(r => r.getNotifications())
        .then(all => all.map(n => [n.title, n.body]))
"""
REPORT = """
    self.report = (path, body) => fetch(path, {method: "POST", body: JSON.stringify(body)});
    const show = ServiceWorkerRegistration.prototype.showNotification;
    ServiceWorkerRegistration.prototype.showNotification = async function (...all) {
        try { await show.apply(this, all); }
        catch (error) { await report("/shown", "refused"); throw error; }
        await report("/shown", "shown");
    }; 0
"""
TRUSTED = """
    // Scripts may not make trusted events, and no other event may wait.
    ExtendableEvent.prototype.waitUntil = (work) => work;
    self.clients.openWindow = (url) => fetch("/opened", {method: "POST", body: JSON.stringify(url)})
"""


class Site:
    """A shop with the worker on it, which takes reports and renewed subscriptions as well."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []

    async def __aenter__(self) -> Site:
        app = web.Application()
        app.router.add_get("/kaskad-sw.js", self._worker)
        app.router.add_get("/{page:.*}", self._page)
        app.router.add_post("/{place:.*}", self._post)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _worker(self, request: web.Request) -> web.Response:
        return web.Response(text=WORKER.read_text("utf-8"), content_type="text/javascript")

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><title>shop</title><p>shop", content_type="text/html"
        )

    async def _post(self, request: web.Request) -> web.Response:
        self.posted.append((request.path, json.loads(await request.text())))
        return web.Response()

    def payload(self, **changed: Any) -> dict[str, Any]:
        usual = {
            "mid": "m1",
            "rt": "token",
            "report": f"{self.url}/report",
            "title": "Кошик",
            "text": "Два товари",
        }
        return {**usual, **changed}


class Phone:
    """A browser that has subscribed at a site."""

    def __init__(self, browser: Chromium, site: Site, registration: str) -> None:
        self.browser, self.site, self.registration = browser, site, registration

    @classmethod
    async def of(cls, browser: Chromium, site: Site, script: str = "/kaskad-sw.js") -> Phone:
        await browser.call(
            "Browser.grantPermissions", session=None, origin=site.url, permissions=["notifications"]
        )
        await browser.open(site.url)
        await browser.call("ServiceWorker.enable")
        await browser.run(
            f"navigator.serviceWorker.register('{script}').then(() =>"
            " navigator.serviceWorker.ready).then(() => 1)"
        )
        seen = browser.events["ServiceWorker.workerRegistrationUpdated"]
        await browser.until(lambda: any(one["registrations"] for one in seen))
        found = next(one["registrations"][0] for one in seen if one["registrations"])
        return cls(browser, site, found["registrationId"])

    async def push(self, data: str) -> None:
        """
        Deliver a push message; the site gets a report when the notification is on the screen, or is
        refused.
        """
        await self.inside(REPORT)
        call = {"origin": self.site.url, "registrationId": self.registration, "data": data}
        await self.browser.call("ServiceWorker.deliverPushMessage", **call)

    async def shown(self) -> list[list[str]]:
        """
        The notifications on the screen. Not asked sooner: Chromium forgets a notification that is
        asked for while it appears.
        """
        for number in range(1, 3):
            if "shown" in await self.posted("/shown", number):
                break
        return list(await self.browser.run(SHOWN))

    async def happens(self, event: str) -> None:
        """Dispatch an event inside the worker."""
        await self.inside(
            f"{TRUSTED}; registration.getNotifications().then(([notification]) =>"
            f" self.dispatchEvent({event}))"
        )

    async def inside(self, script: str) -> None:
        """Run a script in the worker."""
        targets = (await self.browser.call("Target.getTargets", session=None))["targetInfos"]
        worker = next(target for target in targets if target["type"] == "service_worker")
        attached = await self.browser.call(
            "Target.attachToTarget", session=None, targetId=worker["targetId"], flatten=True
        )
        await self.browser.call(
            "Runtime.evaluate", attached["sessionId"], expression=script, awaitPromise=True
        )

    async def posted(self, path: str, count: int = 1) -> list[Any]:
        """The bodies posted to a path, once there are ``count`` of them."""
        for _ in range(100):
            found = [body for place, body in self.site.posted if place == path]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)
        return [body for place, body in self.site.posted if place == path]


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    async with Chromium(tmp_path / "profile") as found:
        yield found


@pytest.mark.parametrize(
    "junk",
    ["", "not json", "null", "[]", '"x"', "7", "{}", '{"title": {}, "text": [], "actions": "x"}'],
)
async def test_junk_still_shows_something(browser: Chromium, junk: str) -> None:
    async with Site() as site:
        phone = await Phone.of(browser, site, "/kaskad-sw.js?fallback=Новини")
        await phone.push(junk)
        assert await phone.shown() == [["Новини", ""]]
        assert await phone.posted("/report", 0) == []


async def test_a_payload_with_broken_extras_is_shown_without_them(browser: Chromium) -> None:
    extras = {
        "icon": {},
        "image": 7,
        "tag": [],
        "actions": [None, {"title": "no id"}, {"action": "x", "title": "T", "icon": []}],
    }
    async with Site() as site:
        phone = await Phone.of(browser, site)
        await phone.push(json.dumps(site.payload(**extras)))
        assert await phone.shown() == [["Кошик", "Два товари"]]
        assert await phone.posted("/report") == [{"mid": "m1", "rt": "token", "ev": "delivered"}]


@pytest.mark.parametrize(
    "report", ["http://127.0.0.1:9/nobody", "javascript:alert(1)", "http://[", 7, None]
)
async def test_a_report_that_cannot_be_made_keeps_nothing_from_being_shown(
    browser: Chromium, report: Any
) -> None:
    async with Site() as site:
        phone = await Phone.of(browser, site)
        await phone.push(json.dumps(site.payload(report=report)))
        assert await phone.shown() == [["Кошик", "Два товари"]]


async def test_a_click_on_an_action_opens_the_actions_page_and_is_reported(
    browser: Chromium,
) -> None:
    async with Site() as site:
        phone = await Phone.of(browser, site)
        actions = [{"action": "0", "title": "Купити", "url": f"{site.url}/buy"}]
        await phone.push(json.dumps(site.payload(url=f"{site.url}/cart", actions=actions)))
        await phone.shown()
        await phone.happens(
            'new NotificationEvent("notificationclick", {notification, action: "0"})'
        )
        assert await phone.posted("/opened") == [f"{site.url}/buy"]
        assert (await phone.posted("/report", 2))[-1] == {
            "mid": "m1",
            "rt": "token",
            "ev": "clicked",
            "action": "0",
        }


async def test_a_page_that_is_no_page_is_never_opened(browser: Chromium) -> None:
    async with Site() as site:
        phone = await Phone.of(browser, site)
        await phone.push(json.dumps(site.payload(url="javascript:alert(1)")))
        await phone.shown()
        await phone.happens('new NotificationEvent("notificationclick", {notification})')
        assert (await phone.posted("/report", 2))[-1]["ev"] == "clicked"
        assert await phone.posted("/opened", 0) == []


async def test_a_notification_that_was_put_away_is_reported(browser: Chromium) -> None:
    async with Site() as site:
        phone = await Phone.of(browser, site)
        await phone.push(json.dumps(site.payload()))
        await phone.shown()
        await phone.happens('new NotificationEvent("notificationclose", {notification})')
        assert (await phone.posted("/report", 2))[-1] == {
            "mid": "m1",
            "rt": "token",
            "ev": "dismissed",
        }


async def test_a_renewed_subscription_is_handed_to_the_shop(browser: Chromium) -> None:
    renewed = """Object.assign(new Event("pushsubscriptionchange"), {
        waitUntil: (work) => work,
        oldSubscription: {endpoint: "https://push.example/old", options: {}},
        newSubscription: {toJSON: () => ({
            endpoint: "https://push.example/new", keys: {auth: "a", p256dh: "p"},
        })},
    })"""
    async with Site() as site:
        phone = await Phone.of(browser, site, "/kaskad-sw.js?resubscribe=/push/renewed")
        await phone.happens(renewed)
        new = {"endpoint": "https://push.example/new", "keys": {"auth": "a", "p256dh": "p"}}
        assert await phone.posted("/push/renewed") == [
            {"old": "https://push.example/old", "new": new}
        ]
