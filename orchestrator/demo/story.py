"""
What some of the shop's customers live through over weeks: the worked journeys, and a question.

    routine   a filter is delivered: they forget it, fill a cart, buy another one, or stop
    joyride   they join a campaign: none to three orders, or it is closed
    trek      they set themselves a goal: milestones, silence, the goal, or they give up
    odyssey   a large purchase: they join the programme or not, rise in it, or leave
    wishes    what they wish for changes, several times in a day; some buy it

The same in every run of a seed. What happens stands at the time at which it happens, in
milliseconds after the show begins.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from orchestrator.core.policy import DAY_MS, HOUR_MS
from orchestrator.demo.people import GOODS

SHARE_OF_EVENTS = 0.12
"""How many people begin a journey for each of the day's events; half as many are asked and wish."""
SATURDAY, REMINDED_AT = 5, 11
CODES = 50
BUY = 0.4
"""The share of people who buy something that they wished for."""
CHANGES = {
    "uk": ("знову в наявності", "дешевше на 20 %", "лишилося два"),
    "en": ("in stock again", "20 % off", "the last two"),
}


class PlannedEvent(NamedTuple):
    """An event that is published ``after`` (ms) the show has begun."""

    after: int
    type: str
    person: Mapping[str, Any]
    data: Mapping[str, Any]

    def event(self, number: int) -> dict[str, Any]:
        """The CloudEvent; a person is described by the first of their events alone."""
        first = {"recipient": dict(self.person)} if self.after == 0 else {}
        return {
            "specversion": "1.0",
            "id": f"j-{number:04d}",
            "source": "shop/demo",
            "type": self.type,
            "subject": self.person["id"],
            "data": {**self.data, **first},
        }


def stories(
    people: Sequence[Mapping[str, Any]], events: int, seed: int, begins: datetime
) -> list[PlannedEvent]:
    """
    Everything that happens to them, in the order in which it happens. ``begins`` is when, where the
    shop is.
    """
    chance = random.Random(f"stories|{seed}")
    reachable = [one for one in people if "phone" in one and "consents" in one]
    chosen = chance.sample(reachable, min(len(reachable), max(8, int(events * SHARE_OF_EVENTS))))
    asked = chance.sample(reachable, min(len(reachable), max(4, len(chosen) // 2)))
    tales = (_routine, _joyride, _trek, _odyssey)
    found = [PlannedEvent(0, "shop.order.received", one, {}) for one in asked]
    for person in chance.sample(reachable, len(asked)):
        found += _wishes(person, chance)
    for number, person in enumerate(chosen):
        found += tales[number % len(tales)](number // len(tales), person, chance, begins)
    return sorted(found, key=lambda one: one.after)


def codes() -> list[str]:
    """The partner's codes, of which everybody with three stickers gets one."""
    return [f"GIFT-{number:04d}" for number in range(1, CODES + 1)]


def _routine(
    fate: int, person: Mapping[str, Any], chance: random.Random, begins: datetime
) -> Iterator[PlannedEvent]:
    sku = {"sku": "filter-1"}
    name = "Water filter" if person["locale"] == "en" else "Фільтр для води"
    yield PlannedEvent(0, "shop.refill.delivered", person, {**sku, "name": name})
    reminded = saturday_after(begins + timedelta(days=25)) - begins
    then = int(reminded.total_seconds() * 1000)
    order: dict[str, Any] = {"order_id": f"r-{person['id']}", "skus": [sku["sku"]]}
    match fate % 5:
        case 0:
            yield PlannedEvent(then + 3 * HOUR_MS, "shop.order.placed", person, order)
        case 1:
            yield PlannedEvent(then + 2 * DAY_MS, "shop.cart.updated", person, sku)
        case 2:
            yield PlannedEvent(10 * DAY_MS, "shop.refill.stopped", person, sku)
        case 3:
            yield PlannedEvent(then + DAY_MS, "shop.cart.updated", person, sku)
            yield PlannedEvent(then + DAY_MS + 3 * HOUR_MS, "shop.order.placed", person, order)


def _joyride(
    fate: int, person: Mapping[str, Any], chance: random.Random, begins: datetime
) -> Iterator[PlannedEvent]:
    campaign = {"campaign_id": "autumn"}
    yield PlannedEvent(0, "partner.campaign.joined", person, campaign)
    orders = (3, 1, 2, 3, 0)[fate % 5]
    for number in range(orders):
        after = (1 + 3 * number) * DAY_MS + chance.randrange(10 * HOUR_MS)
        order = {"order_id": f"p-{person['id']}-{number}", "skus": []}
        yield PlannedEvent(after, "shop.order.placed", person, order)
    if fate % 5 == 1:
        yield PlannedEvent(12 * DAY_MS, "partner.campaign.closed", person, campaign)


def _trek(
    fate: int, person: Mapping[str, Any], chance: random.Random, begins: datetime
) -> Iterator[PlannedEvent]:
    goal = {"goal_id": f"run-{person['id']}"}
    weekly = 3 if fate % 5 == 4 else chance.randint(5, 12)  # less than 5 km begins no journey
    yield PlannedEvent(0, "app.goal.started", person, {**goal, "weekly_km": weekly})
    weeks = ((4, 9, 15, 21), (4, 18), (3,), (5, 11, 17), ())[fate % 5]
    for number, day in enumerate(weeks, 1):
        after = day * DAY_MS + chance.randrange(8 * HOUR_MS)
        yield PlannedEvent(after, "app.milestone", person, {**goal, "km": number * weekly})
    if fate % 5 == 2:
        yield PlannedEvent(8 * DAY_MS, "app.goal.abandoned", person, goal)
    if fate % 5 == 3:
        yield PlannedEvent(19 * DAY_MS, "app.goal.reached", person, goal)


def _odyssey(
    fate: int, person: Mapping[str, Any], chance: random.Random, begins: datetime
) -> Iterator[PlannedEvent]:
    category = "lamps" if person["locale"] == "en" else "світло"
    bought = {"order_id": f"o-{person['id']}", "total": 3000 + 500 * fate, "category": category}
    yield PlannedEvent(0, "shop.purchase.completed", person, bought)
    levels = (3, 2, 0, 3, 1)[fate % 5]
    if levels:
        yield PlannedEvent(18 * DAY_MS, "programme.joined", person, {})
    for level in range(1, levels + 1):
        after = (18 + 6 * level) * DAY_MS + chance.randrange(8 * HOUR_MS)
        yield PlannedEvent(after, "programme.level.reached", person, {"level": level})
    if levels == 1:
        yield PlannedEvent(27 * DAY_MS, "programme.left", person, {})


def _wishes(person: Mapping[str, Any], chance: random.Random) -> Iterator[PlannedEvent]:
    changes = CHANGES[person["locale"][:2]]
    for name, _ in chance.sample(GOODS, chance.randint(1, 4)):
        wished = {"product": name, "news": chance.choice(changes)}
        yield PlannedEvent(0, "shop.wishlist.changed", person, wished)
    if chance.random() < BUY:
        after = 12 * HOUR_MS + chance.randrange(DAY_MS)
        yield PlannedEvent(after, "shop.wishlist.bought", person, {})


def saturday_after(moment: datetime) -> datetime:
    """The first Saturday at eleven that comes after a moment."""
    days = (SATURDAY - moment.weekday()) % 7
    found = moment.replace(hour=REMINDED_AT, minute=0) + timedelta(days=days)
    return found if found > moment else found + timedelta(days=7)
