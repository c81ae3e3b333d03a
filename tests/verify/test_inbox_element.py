"""The inbox in a real browser, in a shop's page, in front of the real service."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from orchestrator.api.inbox_streams import PERSON_STREAMS_MAX
from orchestrator.sandbox import Accounts
from tests.verify.chromium import Chromium, Tab
from tests.verify.inbox_place import (
    BADGE,
    CHANNEL,
    DELETE,
    DOWN,
    ELEMENT,
    END,
    ENTER,
    ESCAPE,
    HOSTILE,
    ITEMS_OF_ONE,
    NOTICE,
    OPEN,
    POLICY,
    ROOT,
    TAB,
    TEMPLATES,
    TITLES,
    UP,
    WITHOUT,
    Place,
    all_of,
    at,
    fill,
    first_title,
    focus,
    offline,
)
from tests.verify.installation import Installation
from tests.verify.shop import Shop, axe_script

pytestmark = [pytest.mark.browser, pytest.mark.verify, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everywhere(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """One service, shop and browser for all tests."""
    folder = tmp_path_factory.mktemp("inbox")
    policies = {name: POLICY.format(name=name) for name in ("note", "order")}
    kaskad = Installation(folder, policies, TEMPLATES)
    kaskad.add_channel(CHANNEL)
    async with kaskad, Shop(kaskad.url) as shop, Chromium(folder / "profile") as browser:
        await kaskad.start()
        yield Place(kaskad, shop, browser)


@pytest_asyncio.fixture(loop_scope="module")
async def place(everywhere: Place, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The same with a person of this test's own; tabs that it opened are closed after it."""
    everywhere.shop.recipient = f"person of {request.node.name}"[:60]
    yield everywhere
    await everywhere.browser.close_tabs()


async def test_two_tabs_stay_in_step_over_one_stream(place: Place) -> None:
    one, two = place.browser, await place.browser.tab()
    for number in range(3):
        await place.put(f"Новина {number}")
    for tab in (one, two):
        await place.shown(tab, opened=False)
        await tab.until_true(f'{BADGE} === "3"')
    await place.put("Щойно")
    for tab in (one, two):
        await tab.until_true(f'{BADGE} === "4"')
    assert "4" in await two.run(f"{at('.bell')}.getAttribute('aria-label')")
    await one.run(f"{at('.bell')}.click()")
    for tab in (one, two):
        await tab.until_true(f'{BADGE} === ""')
    await two.run(f"{at('.bell')}.click()")
    for tab in (one, two):
        await tab.until_true(f"{all_of('.unread')}.length === 4")
    await one.run(f"{at('[data-name=mark]')}.click()")
    for tab in (one, two):
        await tab.until_true(f"{all_of('.unread')}.length === 3")
    await place.until("Щойно", "read_at")
    await two.run(f"{at('[data-name=archive]')}.click()")
    for tab in (one, two):
        await tab.until_true(first_title("Новина 2"))
    await one.run(f"{all_of('.tool')}[0].click()")
    for tab in (one, two):
        await tab.until_true(f"{all_of('.unread')}.length === 0")
    await place.until("Новина 0", "read_at")
    streams = [
        request
        for tab in (one, two)
        for request in tab.events["Network.requestWillBeSent"]
        if request["request"]["url"].endswith("/stream") and request["request"]["method"] == "GET"
    ]
    assert len(streams) == 1, "browsers allow few connections to one host"
    await place.no_fault(one, two)
    await one.open("about:blank")
    await place.put("Після відходу першої")
    await two.until_true(first_title("Після відходу першої"))


async def test_what_was_done_offline_is_shown_at_once_and_sent_when_the_line_is_back(
    place: Place,
) -> None:
    one, two = place.browser, await place.browser.tab()
    await place.put("Стара")
    await place.put("Нова")
    for tab in (one, two):
        await place.shown(tab)
    await offline(True, one, two)
    await one.until_true(NOTICE)
    await place.put("Поки не було зв’язку")
    await one.run(f"{at('[data-name=mark]')}.click()")
    await one.run(f"{all_of('[data-name=archive]')}[1].click()")
    for tab in (one, two):
        await tab.until_true(
            f"{all_of('article')}.length === 1 && {all_of('.unread')}.length === 0"
        )
    assert (await place.inbox())["Нова"]["read_at"] is None
    await offline(False, one, two)
    for tab in (one, two):
        await tab.until_true(first_title("Поки не було зв’язку"))
        await tab.until_true(f"!({NOTICE})")
    await place.until("Нова", "read_at")
    await place.until("Стара", "archived_at")
    await place.no_fault(one, two)


async def test_marks_of_a_page_that_was_closed_offline_are_sent_by_the_next_one(
    place: Place,
) -> None:
    await place.put("Нова")
    closed = await place.browser.tab()
    await place.shown(closed)
    await offline(True, closed)
    await closed.run(f"{at('[data-name=mark]')}.click()")
    await closed.until_true(f"{all_of('.unread')}.length === 0")
    await place.browser.close_tabs()
    assert (await place.inbox())["Нова"]["read_at"] is None
    next_one = place.browser
    await place.shown(next_one)
    await place.until("Нова", "read_at")
    mine = json.dumps(quote(place.shop.recipient))
    await next_one.until_true(f"!Object.keys(localStorage).some(key => key.includes({mine}))")


async def test_the_inbox_is_back_after_the_process_was_killed_under_it(place: Place) -> None:
    one, two = place.browser, await place.browser.tab()
    await place.put("До")
    for tab in (one, two):
        await place.shown(tab)
    place.kaskad.kill()
    for tab in (one, two):
        await tab.until_true(NOTICE)
    await one.run(f"{at('[data-name=mark]')}.click()")
    await two.until_true(f"{all_of('.unread')}.length === 0")
    await place.kaskad.start()
    started = time.monotonic()
    for tab in (one, two):
        await tab.until_true(f"!({NOTICE})")
    print(f"\nboth tabs were back {time.monotonic() - started:.1f} s after the service")
    await place.until("До", "read_at")
    await place.put("Після")
    for tab in (one, two):
        await tab.until_true(first_title("Після"))
    await place.no_fault(one, two)


async def test_ten_thousand_items_scroll_with_a_handful_in_the_document(place: Place) -> None:
    fill(place.kaskad.folder / "kaskad.db", place.shop.recipient)
    tab = place.browser
    await place.shown(tab)
    await tab.call("Performance.enable")
    most = 0
    step = f"""(s => {{ s.scrollTop += 8000; return [
        {all_of("article")}.length, {ELEMENT}.inbox.complete,
        s.scrollTop + s.clientHeight >= s.scrollHeight - 1
    ]; }})({at(".scroll")})"""
    async with asyncio.timeout(200):
        while True:
            rows, complete, at_end = await tab.run(step)
            most = max(most, rows)
            if complete and at_end:
                break
    await tab.until_true(f"{TITLES}.at(-1) === '№ 1'")
    assert await tab.run(f"{ELEMENT}.inbox.items.length") == ITEMS_OF_ONE
    assert 5 <= most <= 60, f"{most} rows were in the document at once"
    metrics = {
        one["name"]: one["value"] for one in (await tab.call("Performance.getMetrics"))["metrics"]
    }
    print(f"\n{metrics['ScriptDuration']:.1f} s of script for ten thousand items")
    before = await tab.run(f"{at('.scroll')}.scrollHeight - {at('.scroll')}.scrollTop")
    await place.put("Нова, коли читають давні")
    await tab.until_true(f"{ELEMENT}.inbox.items[0].title === 'Нова, коли читають давні'")
    after = await tab.run(f"{at('.scroll')}.scrollHeight - {at('.scroll')}.scrollTop")
    assert abs(after - before) <= 1, "what is being read stays where it is"
    await tab.run(f"{at('.scroll')}.scrollTop = 0")
    await tab.until_true(first_title("Нова, коли читають давні"))
    await place.no_fault(tab)


async def test_the_keyboard_is_enough(place: Place) -> None:
    for number in range(40):
        await place.put(f"№ {number}")
    await place.put("Замовлення", "order")
    tab = place.browser
    await place.shown(tab, opened=False)
    await tab.until_true(f'{BADGE} === "41"')
    await tab.press(*TAB)
    assert (await focus(tab)).startswith("Сповіщення")
    await tab.press(*ENTER, text="\r")
    await tab.until_true(OPEN)
    await tab.until_true(f"{ROOT}.activeElement?.tagName === 'ARTICLE'")
    assert await focus(tab) == "Замовлення"
    await tab.press(*DOWN)
    assert await focus(tab) == "№ 39"
    await tab.press(*UP)
    for wanted in ("Замовлення", "На мапі", "Нагадати пізніше", "Позначити прочитаним", "В архів"):
        await tab.press(*TAB)
        assert await focus(tab) == wanted
    await tab.press(*ENTER, text="\r")
    await place.until("Замовлення", "archived_at")
    await tab.until_true(
        f"{ROOT}.activeElement?.querySelector('h3').lastChild.textContent === '№ 39'"
    )
    await tab.press(*DELETE)
    await tab.until_true(first_title("№ 38"))
    assert await focus(tab) == "№ 38"
    await tab.press(*END)
    assert await focus(tab) == "№ 0"
    assert await tab.run(f"{ROOT}.activeElement.getAttribute('aria-posinset')") == "39"
    assert await tab.run(f"{ROOT}.activeElement.getAttribute('aria-setsize')") == "39"
    await tab.press(*ESCAPE)
    await tab.until_true(f"!{OPEN}")
    assert (await focus(tab)).startswith("Сповіщення"), "the focus is back at the bell"
    await tab.press(*ENTER, text="\r")
    await tab.until_true(f"{ROOT}.activeElement?.tagName === 'ARTICLE'")
    await tab.run("window.stay = true")
    await tab.press(*ENTER, text="\r")
    await place.until("№ 38", "clicked_at")
    assert await tab.run("chosen") == [["№ 38", None, f"{place.shop.url}/there"]]
    await tab.run("window.stay = false")
    await tab.press(*ENTER, text="\r")
    await tab.until_true("location.pathname === '/there'")


@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing(place: Place, width: int) -> None:
    for number in range(12):
        await place.put(f"Новина {number}", text="Рядок\nдругий рядок")
    await place.put("Ваше замовлення уже у відділенні", "order", "Заберіть до 5 грудня.")
    axe, tab = axe_script(), place.browser
    for look in ("light&lang=uk", "dark&lang=en"):
        await place.shown(tab, f"theme={look}", width=width, opened=False)
        await tab.run(f"{axe}; 1")
        for opened in (False, True):
            if opened:
                await tab.run(f"{at('.bell')}.click()")
                await tab.until_true(f"{all_of('article')}.length > 2")
            found = await tab.run(
                "axe.run(document).then(r => [...r.violations, ...r.incomplete]"
                ".map(v => [v.id, v.nodes.map(n => [n.target, n.failureSummary])]))"
            )
            assert found == [], look
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        words = "Notifications" if "en" in look else "Сповіщення"
        assert await tab.run(f"{at('h2')}.textContent") == words
    await place.no_fault(tab)


async def test_a_hostile_item_is_text_and_leads_nowhere(place: Place) -> None:
    moments = {"created_at": "2026-11-01T10:00:00.000Z", "expires_at": "2099-01-01T00:00:00.000Z"}
    place.shop.hostile = [
        {"id": "<b>", "seq": 1, "archived_at": None, **WITHOUT, **moments, **HOSTILE},
        {"id": "2", "seq": 1, "archived_at": None, **WITHOUT, **moments, "title": 5, "actions": 7},
        {"id": "3", "seq": 1, "archived_at": None, **WITHOUT, **moments, "title": None},
    ]
    tab = place.browser
    await place.shown(tab, "hostile=1")
    await tab.until_true(f"{all_of('article')}.length === 3")
    hostile = '(a => a.dataset.id === "<b>")'
    row = f"[...{all_of('article')}].find({hostile})"
    shown = await tab.run(f"{row}.innerText")
    assert HOSTILE["title"] in shown and "<b onmouseover=faults.push(3)>bold</b>" in shown
    assert await tab.run(f"{row}.querySelectorAll('script, b, i, img').length") == 0
    links = await tab.run(f"[...{row}.querySelectorAll('a')].map(a => a.href)")
    assert links == ["http://evil.example/path"]
    assert await tab.run(f"{row}.querySelectorAll('.action').length") == 3
    await tab.run(f"[...{row}.querySelectorAll('button')].forEach(b => b.click())")
    await asyncio.sleep(0.2)
    await place.no_fault(tab)


async def test_a_token_that_is_over_is_renewed_and_a_refused_one_is_said(place: Place) -> None:
    place.shop.token_seconds = 2
    tab = place.browser
    await place.put("Перша")
    await place.shown(tab)
    given = place.shop.tokens_given
    await asyncio.sleep(2.5)
    await tab.run(f"{at('[data-name=mark]')}.click()")
    await place.until("Перша", "read_at")
    assert place.shop.tokens_given > given
    await place.put("Друга")
    await tab.until_true(first_title("Друга"))
    person, place.shop.recipient = place.shop.recipient, "maria"  # the page is another person's
    await tab.run(f"{all_of('.tool')}[0].click()")
    await tab.until_true(NOTICE)
    await tab.until_true(f'{ELEMENT}.inbox.state === "refused"')
    place.shop.recipient = person
    await tab.run(f"{at('.notice button')}.click()")
    await place.until("Друга", "read_at")
    await tab.until_true(f"!({NOTICE})")


async def test_an_erasure_empties_an_open_page_once(place: Place) -> None:
    one, two = await place.browser.tab(), await place.browser.tab()
    await place.put("До стирання")
    for tab in (one, two):
        await place.shown(tab)
        await tab.until_true(first_title("До стирання"))
    person = f"{place.kaskad.url}/v1/recipients/{quote(place.shop.recipient)}"
    async with place.kaskad.session.delete(person) as answer:
        assert answer.status == 204
    for tab in (one, two):
        await tab.until_true(f"{all_of('article')}.length === 0")
    await place.put("Після стирання")
    for tab in (one, two):
        await tab.until_true(first_title("Після стирання"))
        assert len(asked_for(tab, "/changes?")) < 20, "it asks again and again"
    await place.no_fault(one, two)


async def test_what_was_archived_stays_away_whatever_is_marked_after_it(place: Place) -> None:
    await place.put("В архів")
    await place.put("Прочитане потім")
    tab = await place.browser.tab()
    await place.shown(tab)
    await tab.until_true(f"{all_of('article')}.length === 2")
    await offline(True, tab)
    await tab.until_true(NOTICE)
    await tab.run(f"{all_of('[data-name=archive]')}[1].click()")
    await tab.until_true(f"{all_of('article')}.length === 1")
    await tab.run(f"{all_of('.tool')}[0].click()")
    await tab.until_true(f"{all_of('.unread')}.length === 0")
    assert await tab.run(TITLES) == ["Прочитане потім"]
    await offline(False, tab)
    await place.until("Прочитане потім", "read_at")
    assert (await place.inbox())["В архів"]["read_at"] is None


async def test_a_middle_click_on_an_action_s_link_is_a_click(place: Place) -> None:
    await place.put("Замовлення", "order")
    tab = await place.browser.tab()
    await place.shown(tab)
    await tab.until_true(f"{all_of('.action')}.length === 2")
    middle = "new MouseEvent('auxclick', {button: 1, bubbles: true, composed: true})"
    for number in (1, 0):
        await tab.run(f"{all_of('.action')}[{number}].dispatchEvent({middle})")
    assert await tab.run("chosen") == [["Замовлення", "map", "https://maps.example.com/"]]
    await place.until("Замовлення", "clicked_at")


async def test_a_page_that_is_one_too_many_asks_seldom_for_a_stream(place: Place) -> None:
    await place.put("Новина")
    stream = f"{place.kaskad.url}/v1/inbox/{quote(place.shop.recipient)}/stream"
    async with AsyncExitStack() as stack:
        for _ in range(PERSON_STREAMS_MAX):
            answer = await stack.enter_async_context(place.kaskad.session.get(stream))
            await answer.content.readline()
        tab = await place.browser.tab()
        await place.shown(tab)
        await tab.until(lambda: bool(asked_for(tab, "/stream")))
        await asyncio.sleep(2)
        assert len(asked_for(tab, "/stream")) == 1
        await place.no_fault(tab)


def asked_for(tab: Tab, path: str) -> list[str]:
    """The GETs of a tab whose address has this in it."""
    sent = [one["request"] for one in tab.events["Network.requestWillBeSent"]]
    return [one["url"] for one in sent if one["method"] == "GET" and path in one["url"]]


async def test_a_ui_of_one_s_own_has_the_same_inbox(place: Place) -> None:
    await place.put("Для свого вигляду", text="Текст")
    tab = place.browser
    await tab.open(f"{place.shop.url}/")
    start = f"""import("{place.kaskad.url}/static/kaskad-inbox.js").then((module) => {{
        const token = () => fetch("/token").then((answer) => answer.json());
        window.addresses = ["javascript:x", "/p", "https://a.example/"].map(module.webUrl);
        const onChange = (inbox) => {{
            window.seen = inbox.items.map((item) => [item.title, Boolean(item.read_at)]);
        }};
        window.mine = module.openInbox({{ recipient: "{place.shop.recipient}", token, onChange }});
        return 1;
    }})"""
    await tab.run(start)
    await tab.until_true("JSON.stringify(window.seen) === '[[\"Для свого вигляду\",false]]'")
    assert await tab.run("addresses") == [None, f"{place.shop.url}/p", "https://a.example/"]
    await tab.run("mine.read(mine.items[0].id)")
    await tab.until_true("window.seen[0][1]")
    await place.until("Для свого вигляду", "read_at")
    await tab.run("mine.click(mine.items[0].id, 'open'); mine.archive(mine.items[0].id)")
    await place.until("Для свого вигляду", "archived_at")
    await tab.until_true("window.seen.length === 0 && mine.complete && mine.counts.unread === 0")
    await tab.run("mine.close()")


async def test_the_sandbox_shows_inboxes_beside_the_phones(place: Place) -> None:
    tab, sandbox, session = place.browser, place.kaskad.sandbox_url, place.kaskad.session
    people = {"Олена": ["+380501234567"], "Марія": ["+380501234568"]}
    in_app = {"Олена": place.shop.recipient, "Марія": "maria"}
    await place.put("Ціна знизилась")
    for what, body in (
        ("people", people),
        ("in_app", {"service": place.kaskad.url, "people": in_app}),
    ):
        async with session.put(f"{sandbox}/_sandbox/{what}", json=body) as answer:
            assert answer.status == 200, await answer.text()
    account, key = Accounts().twilio_account_sid, Accounts().twilio_auth_token
    for (phone,) in people.values():
        async with session.post(
            f"{sandbox}/2010-04-01/Accounts/{account}/Messages.json",
            data={"To": phone, "From": Accounts().twilio_from, "Body": "Код 4711"},
            headers={"Authorization": aiohttp.encode_basic_auth(account, key)},
        ) as answer:
            assert answer.status == 201, await answer.text()
    await tab.open(f"{sandbox}/?lang=uk", width=1000)
    await tab.until_true(f'{ELEMENT}?.shadowRoot && {BADGE} === "1"')
    assert await tab.run("document.querySelectorAll('kaskad-inbox').length") == 2
    await tab.run(f"{at('.bell')}.click()")
    await tab.until_true(first_title("Ціна знизилась"))
