"""Media of replies: fetched with our credentials, from the provider's hosts alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from adapters.sms.twilio_sms import TwilioSettings, TwilioSms
from adapters.telegram.telegram_bot import TelegramBot, TelegramBotSettings
from orchestrator.api import media
from orchestrator.api.media import is_theirs
from tests.api.site import Site

PICTURE = b"\x89PNG" + b"x" * 100


class Host:
    """A provider that serves one picture, and notes what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.type, self.redirect = "image/png", ""

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        if request.path.endswith("/getFile"):
            return web.json_response({"ok": True, "result": {"file_path": "photos/1.png"}})
        if self.redirect:
            return web.Response(status=307, headers={"Location": self.redirect})
        return web.Response(body=PICTURE, content_type=self.type)


@pytest.fixture
async def host() -> AsyncIterator[tuple[Host, str]]:
    found = Host()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield found, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def twilio(url: str) -> TwilioSms:
    written = {"account_sid": "AC1", "auth_token": "t", "base_url": url, "from": "Shop"}
    settings = TwilioSettings.model_validate(written)
    return TwilioSms(settings, "texts")


async def test_a_medium_comes_with_our_credentials_and_its_own_type(
    site: Site, host: tuple[Host, str]
) -> None:
    provider, url = host
    site.also("texts", twilio(url), "sms")
    id = site.keys.medium("texts", f"{url}/Media/ME1")
    answer = await site.client.get(f"/v1/media/{id}")
    assert (answer.status_code, answer.content) == (200, PICTURE)
    assert answer.headers["Content-Type"] == "image/png"
    assert provider.asked[0][1].startswith("Basic ")
    provider.type = "text/html"
    page = await site.client.get(f"/v1/media/{id}")
    assert page.headers["Content-Disposition"] == "attachment"


async def test_telegram_is_asked_where_the_file_is(site: Site, host: tuple[Host, str]) -> None:
    provider, url = host
    settings = TelegramBotSettings(token=SecretStr("7:secret"), base_url=url)
    site.also("bot", TelegramBot(settings, "bot"), "telegram")
    answer = await site.client.get(f"/v1/media/{site.keys.medium('bot', 'file-1')}")
    assert answer.content == PICTURE
    assert [path for path, _ in provider.asked] == [
        "/bot7:secret/getFile",
        "/file/bot7:secret/photos/1.png",
    ]


async def test_no_other_host_is_ever_asked(site: Site, host: tuple[Host, str]) -> None:
    provider, url = host
    site.also("texts", twilio(url), "sms")
    for reference in ("http://169.254.169.254/latest", "http://127.0.0.1:1/x", f"{url}@evil/x"):
        answer = await site.client.get(f"/v1/media/{site.keys.medium('texts', reference)}")
        assert answer.status_code == 503
    assert provider.asked == []
    provider.redirect = "http://169.254.169.254/latest"
    id = site.keys.medium("texts", f"{url}/Media/ME1")
    assert (await site.client.get(f"/v1/media/{id}")).status_code == 503
    forged = await site.client.get("/v1/media/" + "x" * 60)
    assert forged.status_code == 404


async def test_a_medium_has_a_limit(
    site: Site, host: tuple[Host, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = host
    site.also("texts", twilio(url), "sms")
    monkeypatch.setattr(media, "BYTES_MAX", 50)
    id = site.keys.medium("texts", f"{url}/Media/ME1")
    assert (await site.client.get(f"/v1/media/{id}")).status_code == 413


def test_the_hosts_of_a_provider_are_its_own_and_those_below_them() -> None:
    adapter = twilio("https://api.twilio.com")
    assert is_theirs(adapter, "https://api.twilio.com/x")
    assert is_theirs(adapter, "https://mms.twiliocdn.com/x")
    for url in (
        "https://eviltwiliocdn.com/x",
        "http://mms.twiliocdn.com/x",
        "https://a@twiliocdn.com",
    ):
        assert not is_theirs(adapter, url)
