"""A goal ends the messages that were started with it, whatever the policies say since."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.site import Site, lay_out, put_policy, running

WITH_GOAL = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
goal: {{event: shop.paid, match: "goal.cart == event.cart"}}
cascade: [{{channel: viber, retry: {{max: 100, within: 10m}}}}]
"""
AWAY = """\
  viber: [{provider: away, adapter: webhook, url: "http://127.0.0.1:9/", secret: SECRET}]
""".replace("SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
WITHOUT = "\n".join(line for line in WITH_GOAL.splitlines() if not line.startswith("goal")) + "\n"
OTHER = WITH_GOAL.replace("shop.paid", "shop.ordered")


@pytest.mark.parametrize("way", ["reload", "restart"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("after", [WITHOUT, OTHER], ids=["no goal", "another goal"])
async def test_the_goal_of_a_former_version_ends_its_messages_after_a(
    way: str, kind: str, after: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = "sqlite:///./k.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    config = lay_out(tmp_path, store=store, more=AWAY)
    put_policy(tmp_path, "cart", "Cart", WITH_GOAL, "viber")
    async with running(config) as site:
        event = site.event("cart", cart=7)
        person = event["data"]["recipient"]
        id = (await site.post(event))[1]["results"][0]["messages"][0]
        put_policy(tmp_path, "cart", "Cart", after, "viber")
        if way == "reload":
            assert await site.app.reload() == []
            assert await paid(site, person) == [id]
    if way == "restart":
        async with running(config) as site:
            assert await paid(site, person) == [id]


async def paid(site: Site, person: dict[str, str]) -> list[str]:
    """The messages that this person's payment ended."""
    event = {**site.event("paid", cart=7), "id": "paid"}
    event["data"]["recipient"] = person
    _, answer = await site.post(event)
    ended: list[str] = answer["results"][0]["messages"]
    return ended
