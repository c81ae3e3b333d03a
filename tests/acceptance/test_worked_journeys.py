"""
The journeys that ship, each from its beginning to its end, through the whole service in virtual
time: who gets what, when, and in which words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.channels import Accepted, Outgoing
from orchestrator.check.judge import load_configuration
from orchestrator.configuration.loading import Configuration
from orchestrator.core.policy import DAY_MS, MINUTE_MS
from orchestrator.core.status import Delivery, Engagement
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import Publish
from orchestrator.events.cloudevents import read_event
from orchestrator.history.journeys import decode_run
from orchestrator.primitives.durations import rfc3339
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import Later, Reaction
from tests.core.clocks import at

ROOT = Path(__file__).parents[2]
BEGAN = at("2026-11-02T12:00:00+02:00")  # a Monday
PERSON = {
    "id": "u-1",
    "first_name": "Олена",
    "gender": "female",
    "locale": "uk-UA",
    "time_zone": "Europe/Kyiv",
    "phone": "+380501112233",
    "consents": [{"channel": "*", "topic": "*", "state": "in"}],
}
Happening = tuple[float, str, dict[str, Any]]
"""Days after the beginning, type and data of an event."""


@cache
def worked() -> Configuration:
    return load_configuration(ROOT / "config/kaskad.yaml", {}, secrets=False)


class Played:
    """What came of a journey: ``sent`` as lines of day, policy and channel; texts by policy."""

    def __init__(self, happenings: Sequence[Happening], days: int, **person: Any) -> None:
        self.sent: list[str] = []
        self.texts: dict[str, str] = {}
        self.happenings = happenings
        self.days = days
        self.person = {**PERSON, **person}
        self.ends: list[tuple[str, str]] = []
        self.policies: dict[str, str] = {}
        run(self._run)

    async def _run(self, loop: VirtualLoop) -> None:
        configuration = worked()
        policies = configuration.rules.policies
        self.runner = FullRunner(
            loop,
            BEGAN,
            configuration,
            policies,
            react=self.react,
            watch=self.watch,
            journeys=configuration.rules.journeys,
        )
        await self.runner.open()
        for number, (days, type, data) in enumerate(self.happenings):
            now = BEGAN + round(days * DAY_MS)
            await self.runner.sleep_until(now)
            event = {
                "specversion": "1.0",
                "id": f"e{number}",
                "source": "test",
                "type": type,
                "time": rfc3339(now),
                "data": {**data, "recipient": self.person if number == 0 else {"id": "u-1"}},
            }
            await self.runner.submit(Publish(read_event(event)))
        await self.runner.sleep_until(BEGAN + self.days * DAY_MS)
        for stored in await self.runner.store.journeys():
            found = decode_run(stored.row.state)
            self.ends.append((found.journey, str(found.status)))
        await self.runner.close()

    def watch(self, decided: Decided, now: int) -> None:
        message = decided.decision.message
        self.policies[message.id] = message.policy

    def react(self, provider: str, message: Outgoing) -> Reaction:
        channel = worked().settings.providers[provider].channel
        now = self.runner.clock.now()
        day, minute = divmod((now - BEGAN) // MINUTE_MS, 24 * 60)
        policy = self.policies[message.message_id]
        self.sent.append(f"{day}d{minute // 60}h {policy} {channel}")
        self.texts[policy] = str(message.content.get("text", ""))
        later = (Later(3_000, Delivery.DELIVERED), Later(60_000, Engagement.READ))
        return Reaction(Accepted(), receipts=later)


def test_what_runs_out_is_bought_again() -> None:
    refill = {"sku": "f-1", "name": "фільтр"}
    begun: Happening = (0, "shop.refill.delivered", refill)
    left: Happening = (28, "shop.cart.updated", {"sku": "f-1"})
    played = Played([begun, left], 62)
    assert played.sent == ["25d23h reorder_reminder viber", "28d4h reorder_cart viber"]
    assert played.texts["reorder_reminder"].startswith("Олено, фільтр, мабуть, закінчується")
    assert played.ends == [("reorder", "completed")]
    bought = Played([begun, (10, "shop.order.placed", {"skus": ["f-1", "x"]})], 62)
    assert (bought.sent, bought.ends) == ([], [("reorder", "goal_met")])
    other = Played([begun, (10, "shop.order.placed", {"skus": ["x"]})], 30)
    assert other.ends == [("reorder", "running")]


@pytest.mark.parametrize("orders", [2, 3])
def test_three_stickers_earn_a_code_of_the_partner(orders: int) -> None:
    begun: Happening = (0, "partner.campaign.joined", {"campaign_id": "c-1"})
    placed: list[Happening] = [
        (3 * number + 1, "shop.order.placed", {"order_id": str(number)}) for number in range(orders)
    ]
    played = Played([begun, *placed], 44)
    assert [line.split()[1] for line in played.sent] == [
        "partner_welcome",
        *["partner_sticker"] * orders,
        *["partner_code"] * (orders == 3),
    ]
    assert f"у вас {orders} з 3" in played.texts["partner_sticker"]
    if orders == 3:
        assert re.search(r"від партнера: PARTNER-\d{5}$", played.texts["partner_code"])
    assert played.ends == [("partner_stickers", "completed")]


def test_milestones_are_praised_and_a_week_without_one_is_not_left_alone() -> None:
    begun: Happening = (0, "app.goal.started", {"goal_id": "g-1", "weekly_km": 10})
    reached = "app.milestone"
    played = Played(
        [
            begun,
            (2, reached, {"goal_id": "g-1", "km": 10}),
            (3, reached, {"goal_id": "other", "km": 99}),
            (4, reached, {"goal_id": "g-1", "km": 20}),
            (15, reached, {"goal_id": "g-1", "km": 30}),
        ],
        60,
    )
    assert [line.split()[1] for line in played.sent] == [
        "trek_welcome",
        "trek_praise",
        "trek_praise",
        "trek_nudge",
        "trek_praise",
        "trek_reward",
    ]
    assert played.sent[3].startswith("11d6h")  # at six in the evening, a week after the second
    assert played.texts["trek_praise"] == "Олено, 30 км позаду. Чудово!"
    assert "3 з 4" in played.texts["trek_reward"]
    assert played.ends == [("trek_running", "completed")]


def test_who_gives_up_a_goal_is_left_alone() -> None:
    begun: Happening = (0, "app.goal.started", {"goal_id": "g-1", "weekly_km": 10})
    played = Played([begun, (1, "app.goal.abandoned", {"goal_id": "g-1"})], 60)
    assert [line.split()[1] for line in played.sent] == ["trek_welcome"]
    assert played.ends == [("trek_running", "exited")]
    slow = Played([(0, "app.goal.started", {"goal_id": "g-1", "weekly_km": 2})], 60)
    assert (slow.sent, slow.ends) == ([], [])


def test_a_purchase_leads_to_the_programme_and_to_what_goes_well_with_it() -> None:
    begun: Happening = (0, "shop.purchase.completed", {"total": 5200, "category": "світло"})
    levels: list[Happening] = [
        (20 + 10 * number, "programme.level.reached", {"level": number}) for number in (1, 2, 3)
    ]
    played = Played([begun, (18, "programme.joined", {}), *levels], 120)
    assert [" ".join(line.split()[1:]) for line in played.sent] == [
        "odyssey_invite viber",
        "odyssey_progress viber",
        "odyssey_progress viber",
        "odyssey_progress viber",
        "odyssey_offer whatsapp",
    ]
    assert played.sent[0].startswith("14d23h")  # at eleven of the next day
    assert played.ends == [("odyssey_home", "completed")]
    alone = Played([begun], 120)
    assert [line.split()[1] for line in alone.sent] == ["odyssey_invite"]


def test_every_worked_journey_has_an_archetype_of_its_own() -> None:
    journeys = worked().rules.journeys.values()
    assert sorted(one.archetype or "" for one in journeys) == [
        "joyride",
        "odyssey",
        "routine",
        "trek",
    ]
    assert all(one.stage for one in journeys)
