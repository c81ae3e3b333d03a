"""The pages of recipients: unsubscribing, opening, clicking."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest

from orchestrator.api.pages import preferred
from orchestrator.engine.engine import Busy
from tests.api.site import OLENA, Site

ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def mailed(site: Site, **person: Any) -> tuple[str, str]:
    """A message that went out by mail, and its unsubscribe token."""
    id = await site.publish(recipient={**OLENA, **person})
    await site.hand_off(id)
    return id, site.keys.unsubscribe(OLENA["id"], "email", "cart_reminders", id)  # type: ignore[arg-type]


async def consents(site: Site) -> list[tuple[str, str, str, str]]:
    answer = await site.client.get("/v1/recipients/olena/consents")
    return [(c["channel"], c["topic"], c["state"], c["source"]) for c in answer.json()["consents"]]


async def test_looking_at_the_page_changes_nothing(site: Site) -> None:
    _, token = await mailed(site)
    for method in ("GET", "HEAD"):
        answer = await site.client.request(method, f"/u/{token}")
        assert (
            answer.status_code == 200
            and answer.headers["Content-Type"] == "text/html; charset=utf-8"
        )
    assert await consents(site) == []


async def test_one_click_acts_at_once_on_the_topic_and_does_not_redirect(site: Site) -> None:
    _, token = await mailed(site)
    answer = await site.client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
    assert answer.status_code == 200 and "Location" not in answer.headers
    assert await consents(site) == [("email", "cart_reminders", "out", "one_click")]
    assert (await site.message(await site.publish(id="2")))["attempts"] == []
    assert (
        'kaskad_optouts_total{channel="email",source="one_click"} 1.0'
        in (await site.admin.get("/metrics")).text
    )


async def test_one_click_is_understood_as_multipart_too(site: Site) -> None:
    _, token = await mailed(site)
    answer = await site.client.post(f"/u/{token}", files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert await consents(site) == [("email", "cart_reminders", "out", "one_click")]


async def test_a_second_click_is_as_good_as_the_first(site: Site) -> None:
    _, token = await mailed(site)
    for _ in range(2):
        assert (
            await site.client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
        ).status_code == 200
    assert {row[:3] for row in await consents(site)} == {("email", "cart_reminders", "out")}


async def test_a_link_that_is_posted_many_times_records_one_opt_out(site: Site) -> None:
    _, token = await mailed(site)
    documents = set()
    for n in range(30):
        form = ONE_CLICK if n % 2 else b"scope=topic"
        answer = await site.client.post(f"/u/{token}", content=form, headers=FORM)
        assert answer.status_code == 200
        documents.add(str(await site.world.store.recipient("olena")))
    assert len(await consents(site)) == 1
    assert len(documents) == 1, "a repeat writes nothing"


async def test_the_page_can_stop_the_topic_the_channel_or_everything(site: Site) -> None:
    _, token = await mailed(site)
    page = (await site.client.get(f"/u/{token}")).text
    assert re.findall(r'name="scope" value="(\w+)"', page) == ["topic", "channel", "all"]
    for scope in ("topic", "channel", "all"):
        await site.client.post(f"/u/{token}", data={"scope": scope})
    assert await consents(site) == [
        ("email", "cart_reminders", "out", "unsubscribe_page"),
        ("email", "*", "out", "unsubscribe_page"),
        ("*", "*", "out", "unsubscribe_page"),
    ]
    assert (await site.message(await site.publish(id="2", type="text")))["reason"] == "opted_out"


@pytest.mark.parametrize(
    ("channel", "locale", "ways"),
    [
        ("viber", "en", "in Viber"),
        ("viber", "uk", "у Viber"),
        ("email", "en", "by email"),
        ("email", "uk", "електронною поштою"),
        ("sms", "en", "by SMS"),
        ("web_push", "uk", "у браузері"),
        ("whatsapp", "en", "in WhatsApp"),
        ("fax_machine", "en", "by fax machine"),
    ],
)
async def test_a_link_stops_the_channel_it_was_sent_on_and_says_so(
    site: Site, channel: str, locale: str, ways: str
) -> None:
    id, _ = await mailed(site, locale=locale)
    token = site.keys.unsubscribe("olena", channel, "cart_reminders", id)
    page = (await site.client.get(f"/u/{token}")).text
    assert page.count(ways) == 2 and page.count("cart reminders") == 1
    for scope, topic in (("topic", "cart_reminders"), ("channel", "*")):
        answer = (await site.client.post(f"/u/{token}", data={"scope": scope})).text
        assert ways in answer and ("cart reminders" in answer) == (scope == "topic")
        assert (await consents(site))[-1][:2] == (channel, topic)
    assert "email" not in {row[0] for row in await consents(site)} - {channel}


async def test_an_unsubscribe_holds_for_whoever_shares_the_address(site: Site) -> None:
    _, token = await mailed(site)
    await site.client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
    petro = await site.publish(id="2", recipient={"id": "petro", "email": OLENA["email"]})
    assert (await site.message(petro))["reason"] in ("opted_out", "no_address")
    assert (await site.message(petro))["attempts"] == []


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff\xfe", b"&".join([b"a=1"] * 50)])
async def test_whatever_is_posted_to_the_link_unsubscribes(site: Site, body: bytes) -> None:
    _, token = await mailed(site)
    for kind in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
    ):
        assert (
            await site.client.post(f"/u/{token}", content=body, headers={"Content-Type": kind})
        ).status_code == 200
    assert {row[:3] for row in await consents(site)} == {("email", "cart_reminders", "out")}


@pytest.mark.parametrize(
    ("locale", "accept", "language"),
    [
        ("uk-UA", "en", "uk"),
        ("en-GB", "uk", "en"),
        (None, "uk-UA,en;q=0.8", "uk"),
        (None, "en;q=0.3, uk;q=0.4", "uk"),
        (None, "de, fr;q=0.9, uk;q=0.1", "uk"),
        (None, "", "en"),
        (None, "uk;q=0", "en"),
        (None, "uk;q=x,;;,=", "en"),
    ],
)
async def test_the_page_speaks_the_recipients_language_else_the_browsers(
    site: Site, locale: str | None, accept: str, language: str
) -> None:
    _, token = await mailed(site, **({"locale": locale} if locale else {}))
    answer = await site.client.get(f"/u/{token}", headers={"Accept-Language": accept})
    assert (
        f'<html lang="{language}">' in answer.text
        and answer.headers["Content-Language"] == language
    )


def test_the_first_of_equally_welcome_languages_is_taken() -> None:
    assert (preferred("en,uk"), preferred("uk,en"), preferred("ru,en")) == ("en", "uk", "uk")


async def test_a_token_that_is_not_ours_gets_a_kind_page(site: Site) -> None:
    _, token = await mailed(site)
    changed = ("A" if token[5] != "A" else "B").join((token[:5], token[6:]))
    for wrong in (changed, token[:-1], "x", "%00", "💥", site.keys.pixel("01K" + "0" * 23, 0)):
        for answer in (
            await site.client.get(f"/u/{wrong}"),
            await site.client.post(f"/u/{wrong}", content=ONE_CLICK),
        ):
            assert answer.status_code == 404 and "<h1>" in answer.text
    assert await consents(site) == []


async def test_the_page_runs_no_script_fetches_nothing_and_is_not_indexed(site: Site) -> None:
    _, token = await mailed(site)
    answer = await site.client.get(f"/u/{token}")
    policy = answer.headers["Content-Security-Policy"]
    assert (
        "default-src 'none'" in policy and "unsafe" not in policy and "form-action 'self'" in policy
    )
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.S)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert (
        answer.headers["X-Robots-Tag"].startswith("noindex")
        and answer.headers["Referrer-Policy"] == "no-referrer"
    )
    assert not re.search(r"<script|<img|<link|https?://", answer.text)
    assert 'name="viewport"' in answer.text


async def test_a_topic_s_name_cannot_inject_html(site: Site) -> None:
    token = site.keys.unsubscribe("olena", "email", '<b>"cart"_{topic}', "01K" + "0" * 23)
    answer = await site.client.get(f"/u/{token}")
    assert answer.status_code == 200 and "<b>" not in answer.text and "&lt;b&gt;" in answer.text
    assert (
        await site.client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
    ).status_code == 200


async def test_a_link_still_unsubscribes_after_its_message_is_gone(site: Site) -> None:
    token = site.keys.unsubscribe("olena", "email", "cart_reminders", "01K" + "0" * 23)
    assert (
        await site.client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
    ).status_code == 200
    assert await consents(site) == [("email", "cart_reminders", "out", "one_click")]


# ---- opened, clicked


async def test_the_pixel_records_that_a_mail_was_read(site: Site) -> None:
    id, _ = await mailed(site)
    path = f"/o/{site.keys.pixel(id, 0)}"
    await site.client.head(path)
    assert (await site.message(id))["attempts"][0]["engagement"] == {}
    answer = await site.client.get(path)
    assert answer.content[:6] == b"GIF89a" and answer.headers["Cache-Control"] == "no-store"
    found = await site.message(id)
    assert (found["status"], found["succeeded_by"]) == ("succeeded", "email")


async def test_a_picture_comes_whatever_the_token_is(site: Site) -> None:
    for token in ("x", site.keys.pixel("01K" + "0" * 23, 0), "%ff"):
        answer = await site.client.get(f"/o/{token}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")


async def test_a_link_leads_on_and_is_counted_as_a_click(site: Site) -> None:
    id, _ = await mailed(site)
    url = "https://shop.example/кошик?a=1&b=2#x"
    path = f"/c/{site.keys.link(id, 0, url)}"
    await site.client.head(path)
    assert (await site.message(id))["attempts"][0]["engagement"] == {}
    answer = await site.client.get(path)
    assert answer.status_code == 302 and httpx.URL(answer.headers["Location"]) == httpx.URL(url)
    assert list((await site.message(id))["attempts"][0]["engagement"]) == ["clicked"]


BROWSER = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
)
PROGRAMS = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    {"Purpose": "prefetch"},
    {"Purpose": "preview"},
    {"X-Purpose": "preview"},
    {"X-Moz": "prefetch"},
    {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
    {"User-Agent": "meta-externalagent/1.1"},
    {"User-Agent": "WhatsApp/2.23.20.0 A"},
    {"User-Agent": "TelegramBot (like TwitterBot)"},
    {"User-Agent": "Viber"},
    {"User-Agent": "Viber/13.3.1"},
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"User-Agent": "Slack-ImgProxy (+https://api.slack.com/robots)"},
    {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
    {"User-Agent": "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://x)"},
    {"User-Agent": "Twitterbot/1.0"},
    {"User-Agent": f"{BROWSER} SkypeUriPreview Preview/0.5"},
    {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {"User-Agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko (via ggpht.com GoogleImageProxy)"},
    {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"},
    {"User-Agent": f"{BROWSER} BingPreview/1.0b"},
    {"User-Agent": "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"},
    {"User-Agent": "Mozilla/5.0 (compatible; Yahoo! Slurp)"},
    {"User-Agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy"},
    {"User-Agent": "Microsoft Office Existence Discovery"},
    {"User-Agent": "Mozilla/5.0 (compatible; SafeLinks/1.0)"},
    {"User-Agent": "Barracuda Sentinel (EE)"},
]


@pytest.mark.parametrize("headers", PROGRAMS, ids=lambda headers: str(*headers.items())[:60])
async def test_what_a_program_fetches_is_answered_and_counts_as_no_click_and_no_read(
    site: Site, headers: dict[str, str]
) -> None:
    id, _ = await mailed(site)
    link = f"/c/{site.keys.link(id, 0, 'https://shop.example/')}"
    assert (await site.client.get(link, headers=headers)).status_code == 302
    picture = await site.client.get(f"/o/{site.keys.pixel(id, 0)}", headers=headers)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/gif")
    found = await site.message(id)
    assert (found["status"], found["attempts"][0]["engagement"]) == ("running", {})


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": BROWSER},
        {"User-Agent": f"{BROWSER} Viber/24.1"},
        {"User-Agent": f"{BROWSER} [FBAN/FBIOS;FBAV/512.0;FBDV/iPhone14,5]"},
        {"User-Agent": "Mozilla/5.0 (Linux; Android 15; CUBOT X70) Chrome/130.0 Mobile"},
        {"User-Agent": BROWSER, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
        {"User-Agent": ""},
    ],
    ids=lambda headers: headers["User-Agent"][-30:],
)
async def test_a_person_s_browser_counts_also_inside_a_messenger(
    site: Site, headers: dict[str, str]
) -> None:
    id, _ = await mailed(site)
    await site.client.get(f"/c/{site.keys.link(id, 0, 'https://s.example/')}", headers=headers)
    assert list((await site.message(id))["attempts"][0]["engagement"]) == ["clicked"]


@pytest.mark.parametrize("tail", ["", ".", ">", ")", "]", ",", ";", "%3E", "…", "&gt;", "%20и"])
async def test_what_a_mail_program_took_into_a_link_does_not_break_it(
    site: Site, tail: str
) -> None:
    id, token = await mailed(site)
    link = site.keys.link(id, 0, "https://shop.example/")
    assert (await site.client.get(f"/c/{link}{tail}")).status_code == 302
    assert (await site.client.get(f"/u/{token}{tail}")).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "",
        "https://[",
    ],
)
async def test_a_link_that_leads_nowhere_is_a_page(site: Site, url: str) -> None:
    id, _ = await mailed(site)
    answer = await site.client.get(f"/c/{site.keys.link(id, 0, url)}")
    assert answer.status_code == 404 and "Set-Cookie" not in answer.headers


async def test_a_line_end_in_a_link_is_part_of_the_address_and_starts_no_header(site: Site) -> None:
    id, _ = await mailed(site)
    url = "https://a.example/\r\nSet-Cookie: x=1"
    answer = await site.client.get(f"/c/{site.keys.link(id, 0, url)}")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (302, False)
    assert answer.headers["Location"] == "https://a.example/%0D%0ASet-Cookie:%20x=1"


async def test_nobody_can_make_a_link_lead_elsewhere(site: Site) -> None:
    id, _ = await mailed(site)
    token = site.keys.link(id, 0, "https://shop.example/")
    for wrong in (token[:-2], token[:40] + "AAAA" + token[44:], "x"):
        assert (await site.client.get(f"/c/{wrong}")).status_code == 404


async def test_a_link_is_followed_even_if_nothing_can_be_recorded(
    site: Site,
) -> None:
    id, _ = await mailed(site)

    def full(command: Any) -> Any:
        raise Busy("full")

    site.world.engine.submit = full  # type: ignore[method-assign]
    assert (
        await site.client.get(f"/c/{site.keys.link(id, 0, 'https://shop.example/')}")
    ).status_code == 302
    assert (await site.client.get(f"/o/{site.keys.pixel(id, 0)}")).status_code == 200
