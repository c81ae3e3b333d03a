"""What the example's message is about, and its words in English and Ukrainian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHORT = "short"
"""In place of ``text``, on channels that are billed in parts."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """
    ``policy`` is also the template's name. ``data`` is the event's, without its recipient.
    ``words`` are template texts by locale and part; the test of the policy looks for ``contains``.
    """

    policy: str
    about: str
    event: str
    data: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    """Further keys of the policy, each with a remark."""
    words: Mapping[str, Mapping[str, str]]
    contains: str


SHOP = Example(
    policy="order_shipped",
    about="An order has left: the buyer hears of it on the first channel that reaches them.",
    event="shop.order.shipped",
    data={
        "order_id": "70001",
        "carrier": "Нова пошта",
        "items": 3,
        "total": 3601.5,
        "eta": "2026-11-24",
        "tracking_url": "https://shop.example.com/track/70001",
    },
    keys={
        "class: transactional": "otp | transactional | service | promotional",
        "topic: orders": "what a recipient can opt out of",
        "deadline: 12h": "nothing leaves after this",
    },
    words={
        "en": {
            "subject": "Order {{ event.order_id }} is on its way",
            "title": "Order {{ event.order_id }} is on its way",
            "text": "{{ recipient.first_name }}, your order {{ event.order_id }} has left with"
            " {{ event.carrier }}: {{ event['items'] }}"
            " {{ event['items'] | plural('item', 'items') }},"
            " {{ event.total | money('UAH') }}.\n"
            "Expect it on {{ event.eta | date('long') }}: {{ event.tracking_url | link }}",
            SHORT: "Order {{ event.order_id }} is on its way, {{ event.eta | date('d MMM') }}",
            "html": "<p>{{ recipient.first_name }}, your order <b>{{ event.order_id }}</b> has left"
            " with {{ event.carrier }}.<br>Expect it on {{ event.eta | date('long') }}.</p>\n"
            '<p><a href="{{ event.tracking_url | link }}">Track it</a></p>',
            "yaml": 'template: order_shipped\nlanguage: en\nbody: ["{{ event.order_id }}"]',
        },
        "uk": {
            "subject": "Замовлення №{{ event.order_id }} вже в дорозі",
            "title": "Замовлення №{{ event.order_id }} вже в дорозі",
            "text": "{{ recipient.first_name | vocative }}, ваше замовлення"
            " №{{ event.order_id }} вже в дорозі ({{ event.carrier }}):"
            " {{ event['items'] }} {{ event['items'] | plural('товар', 'товари', 'товарів') }},"
            " {{ event.total | money('UAH') }}.\n"
            "Очікуйте {{ event.eta | date('long') }} Відстежити:"
            " {{ event.tracking_url | link }}",
            SHORT: "Замовлення №{{ event.order_id }} в дорозі, {{ event.eta | date('d.MM') }}",
            "html": "<p>{{ recipient.first_name | vocative }}, ваше замовлення"
            " <b>№{{ event.order_id }}</b> вже в дорозі ({{ event.carrier }})."
            "<br>Очікуйте {{ event.eta | date('long') }}</p>\n"
            '<p><a href="{{ event.tracking_url | link }}">Відстежити</a></p>',
            "yaml": 'template: order_shipped\nlanguage: uk\nbody: ["{{ event.order_id }}"]',
        },
    },
    contains="70001",
)
MINIMAL = Example(
    policy="hello",
    about="The smallest policy: an event, and the channels to try in turn.",
    event="demo.hello",
    words={
        "en": {
            "subject": "Hello",
            "title": "Hello",
            "text": "Hello, {{ recipient.first_name }}!",
            "html": "<p>Hello, {{ recipient.first_name }}!</p>",
            "yaml": 'template: hello\nlanguage: en\nbody: ["{{ recipient.first_name }}"]',
        },
        "uk": {
            "subject": "Вітаємо",
            "title": "Вітаємо",
            "text": "Вітаємо, {{ recipient.first_name | vocative }}!",
            "html": "<p>Вітаємо, {{ recipient.first_name | vocative }}!</p>",
            "yaml": "template: hello\nlanguage: uk\n"
            'body: ["{{ recipient.first_name | vocative }}"]',
        },
    },
    contains="Олен",
)
EXAMPLES: Mapping[str, Example] = {"shop": SHOP, "minimal": MINIMAL}
PERSON: Mapping[str, Any] = {
    "first_name": "Олена",
    "gender": "female",
    "locale": "uk-UA",
    "time_zone": "Europe/Kyiv",
}
