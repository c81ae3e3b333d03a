"""
A made-up customers of a Ukrainian shop, and what happens to them: the same in every run of a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

WOMEN = (
    "Олена",
    "Наталія",
    "Ірина",
    "Оксана",
    "Марія",
    "Софія",
    "Дарина",
    "Юлія",
    "Соломія",
    "Любов",
)
MEN = ("Андрій", "Олег", "Іван", "Тарас", "Микола", "Сергій", "Павло", "Ігор", "Данило", "Юрій")
ENGLISH = ("Emma", "James", "Olivia", "Noah")
GOODS = (
    ("Парфуми", 1200.5),
    ("Кавоварка", 5499.0),
    ("Книга", 320.0),
    ("Навушники", 2150.0),
    ("Вишиванка", 1890.0),
)
CARRIERS = ("Нова пошта", "Укрпошта", "Meest")
PREFIXES = ("+38050", "+38067", "+38063", "+38073", "+38097")
SHARE = {
    "push": 0.55,
    "app": 0.45,
    "telegram": 0.3,
    "inbox": 0.4,
    "email": 0.9,
    "phone": 0.95,
    "promo_yes": 0.85,
    "english": 0.12,
    "goal": 0.06,
}


class Customers:
    """``people`` by id; each profile is as a shop would send it inline."""

    def __init__(self, seed: int, count: int) -> None:
        self.chance = random.Random(seed)
        self.people = [self._person(number) for number in range(count)]

    def _person(self, number: int) -> dict[str, Any]:
        chance = self.chance
        english = chance.random() < SHARE["english"]
        female = chance.random() < 0.5
        names = ENGLISH if english else WOMEN if female else MEN
        person: dict[str, Any] = {
            "id": f"user-{number:03d}",
            "first_name": chance.choice(names),
            "gender": "female" if female else "male",
            "locale": "en" if english else "uk-UA",
            "time_zone": "Europe/Kyiv",
        }
        if chance.random() < SHARE["phone"]:
            person["phone"] = f"{chance.choice(PREFIXES)}{1_000_000 + number:07d}"
        if chance.random() < SHARE["email"]:
            person["email"] = f"user{number:03d}@example.com"
        if self.uses(person, "telegram"):
            person["telegram_id"] = str(500_000 + number)
        if chance.random() < SHARE["promo_yes"]:
            person["consents"] = [{"channel": "*", "topic": "*", "state": "in", "source": "form"}]
        return person

    def uses(self, person: Mapping[str, Any], what: str) -> bool:
        """
        Whether this person has allowed notifications in the browser, uses a messenger, or looks
        into the shop's inbox; drawn from the id, so always the same.
        """
        return random.Random(f"{what}|{person['id']}").random() < SHARE[what]

    def phones_with_app(self, person: Mapping[str, Any]) -> list[str]:
        """The platforms of this person's phones with the shop's app; some have both."""
        chance = random.Random(f"app|{person['id']}")
        if chance.random() >= SHARE["app"]:
            return []
        return chance.choice((["fcm"], ["fcm"], ["apns"], ["fcm", "apns"]))

    def events(self, count: int) -> Iterator[dict[str, Any]]:
        """CloudEvents as the shop's services would publish them."""
        kinds = (self._cart, self._shipped, self._code, self._drop, self._survey)
        for number in range(count):
            person = self.chance.choice(self.people)
            kind = self.chance.choices(kinds, weights=(35, 25, 15, 15, 10))[0]
            type, data = kind(number)
            yield self._event(f"e-{number:04d}", type, person, data)
            if type == "shop.cart.abandoned" and self.chance.random() < SHARE["goal"]:
                yield self._event(
                    f"g-{number:04d}", "shop.order.placed", person, {"cart_id": data["cart_id"]}
                )

    def _event(
        self, id: str, type: str, person: Mapping[str, Any], data: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": id,
            "source": "shop/demo",
            "type": type,
            "subject": person["id"],
            "data": {**data, "recipient": dict(person)},
        }

    def _cart(self, number: int) -> tuple[str, dict[str, Any]]:
        items = [
            {"name": name, "price": price}
            for name, price in self.chance.sample(GOODS, self.chance.randint(1, 3))
        ]
        total = round(sum(float(str(item["price"])) for item in items), 2)
        return "shop.cart.abandoned", {"cart_id": f"{number:04d}", "total": total, "items": items}

    def _shipped(self, number: int) -> tuple[str, dict[str, Any]]:
        tracking = f"2045{number:010d}"
        return "shop.order.shipped", {
            "order_id": f"{70000 + number}",
            "carrier": self.chance.choice(CARRIERS),
            "tracking_number": tracking,
            "tracking_url": f"https://shop.example.com/track/{tracking}",
            "eta": "2026-12-02",
        }

    def _code(self, number: int) -> tuple[str, dict[str, Any]]:
        return "shop.login.code_requested", {
            "code": f"{self.chance.randint(0, 999_999):06d}",
            "minutes": 5,
        }

    def _drop(self, number: int) -> tuple[str, dict[str, Any]]:
        name, price = self.chance.choice(GOODS)
        return "shop.price.dropped", {
            "product": name,
            "product_id": f"p-{name}",
            "old_price": price,
            "new_price": round(price * 0.8, 2),
            "url": "https://shop.example.com/p/42",
        }

    def _survey(self, number: int) -> tuple[str, dict[str, Any]]:
        order = f"{70000 + number}"
        url = f"https://shop.example.com/survey/{order}"
        return "shop.order.delivered", {"order_id": order, "total": 1200.5, "survey_url": url}
