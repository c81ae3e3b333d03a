"""
The templates that ship with the worked policies: each says something whole in every language it
has.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.render import RenderContext, TemplateSet, Unrenderable

TEMPLATES = TemplateSet.load(Path(__file__).parents[2] / "templates")
SHOP = "https://shop.example.com"
EVENTS: dict[str, dict[str, Any]] = {
    "cart_abandoned": {
        "cart_id": "981",
        "total": 3601.5,
        "items": [{"name": "Парфуми", "price": 1200.5}],
    },
    "order_shipped": {
        "order_id": "70012",
        "carrier": "Нова пошта",
        "tracking_number": "20450000000012",
        "tracking_url": f"{SHOP}/track/20450000000012",
        "eta": "2026-12-02",
    },
    "order_question": {"policy": "order_shipped", "channel": "viber", "text": "Коли приїде?"},
    "order_unreached": {"policy": "order_shipped"},
    "otp_code": {"code": "042917", "minutes": 5},
    "price_drop": {
        "product": "Кавоварка",
        "product_id": "p-1",
        "old_price": 5499.0,
        "new_price": 4399.2,
        "url": f"{SHOP}/p",
    },
    "survey": {"order_id": "70012", "survey_url": f"{SHOP}/survey/70012"},
    "nps": {"order_id": "70012"},
    "nps_why": {"channel": "sms", "choice": "3"},
    "wishlist_news": {"product": "Кавоварка", "news": "знову є"},
    "wishlist_warm": {"product": "Кавоварка", "news": "знову є"},
    "reorder_reminder": {"sku": "f-1", "name": "Фільтр"},
    "reorder_cart": {"sku": "f-1", "name": "Фільтр"},
    "partner_welcome": {"campaign_id": "c-1"},
    "partner_sticker": {"order_id": "1"},
    "partner_code": {"campaign_id": "c-1"},
    "trek_welcome": {"goal_id": "g-1", "weekly_km": 10},
    "trek_praise": {"goal_id": "g-1", "km": 20},
    "trek_nudge": {"goal_id": "g-1", "weekly_km": 10},
    "trek_reward": {"goal_id": "g-1", "weekly_km": 10},
    "odyssey_invite": {"total": 5200.0, "category": "світло"},
    "odyssey_progress": {"level": 2},
    "odyssey_offer": {"level": 2, "category": "світло"},
}
CHANNELS = sorted(
    (template, channel) for template in EVENTS for channel in TEMPLATES.channels(template)
)


def context(
    template: str, locale: str | None, unsubscribe_url: str | None = "https://k.example/u/1"
) -> RenderContext:
    return RenderContext(
        event=EVENTS[template],
        recipient={"id": "user-42", "first_name": "Олена", "gender": "female"},
        message={"id": "m-1"},
        now=datetime(2026, 11, 21, 10, tzinfo=UTC),
        locale=locale,
        time_zone="Europe/Kyiv",
        unsubscribe_url=unsubscribe_url,
        codes={"code": "SPRING-7F3K"},
        events=[EVENTS[template]],
    )


def test_every_worked_policy_has_its_templates() -> None:
    assert set(EVENTS) == TEMPLATES.names


@pytest.mark.parametrize(("template", "channel"), CHANNELS)
@pytest.mark.parametrize("locale", ["uk-UA", "en", "de", None])
def test_every_worked_template_says_something_in_every_language(
    template: str, channel: str, locale: str | None
) -> None:
    rendered = TEMPLATES.render(template, channel, context(template, locale))
    for name, part in rendered.parts.items():
        assert part, name
        assert not isinstance(part, str) or not any(
            hole in part for hole in ("None", "{{", "{%", "Undefined")
        ), name


@pytest.mark.parametrize(("template", "channel"), CHANNELS)
def test_no_worked_text_ends_a_sentence_twice(template: str, channel: str) -> None:
    for locale in ("uk-UA", "en"):
        parts = TEMPLATES.render(template, channel, context(template, locale)).parts
        assert not any(".." in part for part in parts.values() if isinstance(part, str))


def test_a_push_is_there_wherever_a_link_is_worth_a_tap() -> None:
    with_push = {template for template, channel in CHANNELS if channel == "web_push"}
    assert with_push == {"cart_abandoned", "order_shipped", "price_drop", "survey"}


@pytest.mark.parametrize(
    "template", [template for template, channel in CHANNELS if channel == "sms"]
)
@pytest.mark.parametrize("locale", ["uk-UA", "en"])
def test_a_worked_sms_needs_no_more_than_two_parts_and_a_code_only_one(
    template: str, locale: str
) -> None:
    count = TEMPLATES.render(template, "sms", context(template, locale)).count
    assert count is not None and count.parts <= (1 if template == "otp_code" else 2)


def test_english_sms_stay_in_the_cheap_alphabet_where_the_data_is_latin() -> None:
    for template in ("cart_abandoned", "otp_code"):
        count = TEMPLATES.render(template, "sms", context(template, "en")).count
        assert count is not None and count.alphabet == "gsm7"


@pytest.mark.parametrize("template", ["cart_abandoned", "price_drop", "survey"])
@pytest.mark.parametrize("locale", ["uk-UA", "en"])
def test_marketing_email_offers_a_way_out_or_is_not_sent(template: str, locale: str) -> None:
    parts = TEMPLATES.render(template, "email", context(template, locale)).parts
    assert "https://k.example/u/1" in parts["html"] and "https://k.example/u/1" in parts["text"]
    with pytest.raises(Unrenderable):
        TEMPLATES.render(template, "email", context(template, locale, unsubscribe_url=None))
