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


async def test_the_page_can_stop_the_topic_or_everything(site: Site) -> None:
    _, token = await mailed(site)
    page = (await site.client.get(f"/u/{token}")).text
    assert re.findall(r'name="scope" value="(\w+)"', page) == ["topic", "all"]
    await site.client.post(f"/u/{token}", data={"scope": "topic"})
    await site.client.post(f"/u/{token}", data={"scope": "all"})
    assert await consents(site) == [
        ("email", "cart_reminders", "out", "unsubscribe_page"),
        ("*", "*", "out", "unsubscribe_page"),
    ]
    assert (await site.message(await site.publish(id="2", type="text")))["reason"] == "opted_out"


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


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "https://a.example/\r\nSet-Cookie: x=1",
        "",
        "https://[",
    ],
)
async def test_a_link_that_leads_nowhere_is_a_page(site: Site, url: str) -> None:
    id, _ = await mailed(site)
    answer = await site.client.get(f"/c/{site.keys.link(id, 0, url)}")
    assert answer.status_code == 404 and "Set-Cookie" not in answer.headers


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
