"""A service with an inbox, a shop that shows it, and what a browser sees of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.verify.chromium import Chromium, Tab
from tests.verify.installation import Installation
from tests.verify.shop import Shop

POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
class: transactional
topic: notes
cascade:
  - channel: in_app
"""
YAML = 'url: "{{ event.url }}"\n'
ORDER_YAML = """\
url: "{{ event.url }}"
pinned: true
image: "{{ event.image }}"
actions:
  - {action: "map", title: "На мапі", url: "https://maps.example.com/"}
  - {action: "later", title: "Нагадати пізніше"}
"""
TEMPLATES = {
    "note/in_app.title.j2": "{{ event.title }}",
    "note/in_app.text.j2": "{{ event.text }}",
    "note/in_app.yaml.j2": YAML,
    "order/in_app.title.j2": "{{ event.title }}",
    "order/in_app.text.j2": "{{ event.text }}",
    "order/in_app.yaml.j2": ORDER_YAML,
}
CHANNEL = "  in_app:\n    - {provider: inbox, adapter: inbox}\n"
ELEMENT = 'document.querySelector("kaskad-inbox")'
ROOT = f"{ELEMENT}.shadowRoot"
TITLES = f'[...{ROOT}.querySelectorAll("h3")].map(h => h.lastChild.textContent)'
NOTICE = f'{ROOT}.querySelector(".notice").hidden === false'
BADGE = f'(b => b.hidden ? "" : b.textContent)({ROOT}.querySelector(".badge"))'
OPEN = f'{ROOT}.querySelector(".panel").matches(":popover-open")'
ITEMS_OF_ONE = 10_000
TAB, ENTER, ESCAPE = ("Tab", 9), ("Enter", 13), ("Escape", 27)
DOWN, UP, END, DELETE = ("ArrowDown", 40), ("ArrowUp", 38), ("End", 35), ("Delete", 46)


def at(selector: str) -> str:
    return f"{ROOT}.querySelector({json.dumps(selector)})"


def all_of(selector: str) -> str:
    return f"{ROOT}.querySelectorAll({json.dumps(selector)})"


class Place:
    """A service, a shop and a browser; ``inbox()`` is what the service says."""

    def __init__(self, kaskad: Installation, shop: Shop, browser: Chromium) -> None:
        self.kaskad, self.shop, self.browser = kaskad, shop, browser
        self._numbers = itertools.count(1)

    async def put(self, title: str, kind: str = "note", text: str = "…") -> str:
        """Have an item put into the inbox; the message's id."""
        recipient = {"id": self.shop.recipient, "locale": "uk-UA"}
        place = self.shop.url
        data = {"title": title, "text": text, "url": f"{place}/there", "image": f"{place}/p.svg"}
        message = await self.kaskad.publish(
            {
                "specversion": "1.0",
                "id": f"{next(self._numbers)}",
                "source": "shop",
                "type": f"shop.{kind}",
                "data": {**data, "recipient": recipient},
            }
        )
        assert message is not None, self.kaskad.log_tail()
        return message

    async def inbox(self, query: str = "status=all") -> dict[str, dict[str, Any]]:
        """The items by title."""
        url = f"{self.kaskad.url}/v1/inbox/{quote(self.shop.recipient)}?{query}"
        async with self.kaskad.session.get(url) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return {item["title"]: item for item in body["items"]}

    async def until(self, title: str, field: str, query: str = "status=all") -> None:
        """Wait until a time of an item is set."""
        async with asyncio.timeout(15):
            while (await self.inbox(query))[title][field] is None:  # noqa: ASYNC110  it is asked
                await asyncio.sleep(0.05)

    async def shown(
        self, tab: Tab, query: str = "", width: int = 1000, opened: bool = True
    ) -> None:
        """Load the shop's page in a tab, and open the inbox."""
        await tab.open(f"{self.shop.url}/?{query}", width=width, height=800)
        await tab.until_true(
            f'customElements.get("kaskad-inbox") && {ELEMENT}.inbox.state === "live"'
        )
        if opened:
            await tab.run(f"{at('.bell')}.click()")
            await tab.until_true(OPEN)

    async def no_fault(self, *tabs: Tab) -> None:
        for tab in tabs:
            assert await tab.run("faults") == []


def first_title(title: str) -> str:
    return f"{TITLES}[0] === {json.dumps(title)}"


async def offline(on: bool, *tabs: Tab) -> None:
    for tab in tabs:
        await tab.call(
            "Network.emulateNetworkConditions",
            offline=on,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )


def fill(database: Path, recipient: str) -> None:
    """Ten thousand items, written as the service would have, some of them short and some long."""
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("insert into inboxes values (?, ?, 0)", (recipient, ITEMS_OF_ONE))
        for number in range(1, ITEMS_OF_ONE + 1):
            words = "Ціна товару, який ви дивилися, знизилась. " * (1 + number * 7 % 4)
            content = {"title": f"№ {number}", "text": words, "locale": "uk"}
            at = now - (ITEMS_OF_ONE - number) * 60_000
            row = (f"m{number}-0", recipient, number, number, f"m{number}", 0, "inbox", "", 0, at)
            seen = (at, at, at, None, None)
            end = (now + 86_400_000, *seen, json.dumps(content).encode())
            store.execute(f"insert into items values ({', '.join('?' * 17)})", (*row, *end))


async def focus(tab: Tab) -> str:
    """What has the focus: the title of an item, or the label of a control."""
    return str(
        await tab.run(
            f"(e => e?.tagName === 'ARTICLE' ? e.querySelector('h3').lastChild.textContent :"
            f" e?.getAttribute('aria-label') || e?.textContent || '')({ROOT}.activeElement)"
        )
    )


HOSTILE = {
    "title": "<img src=x onerror=faults.push(1)><script>faults.push(2)</script>",
    "text": "<b onmouseover=faults.push(3)>bold</b>\n{{7*7}} &amp; \u202e",
    "url": "javascript:faults.push(4)",
    "icon": "data:image/svg+xml,<svg onload='faults.push(5)'/>",
    "image": "vbscript:x",
    "actions": [
        {"action": "x", "title": "<i>go</i>", "url": " javascript:faults.push(6)"},
        {"action": "y", "title": "y", "url": "//evil.example/path"},
        {"action": "z", "title": "z", "url": "blob:x"},
        {"action": "w", "title": "a fourth", "url": "https://example.com"},
    ],
}
WITHOUT = {"category": "", "pinned": False, "seen_at": None, "read_at": None, "clicked_at": None}
