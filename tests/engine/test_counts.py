"""What reports count: with each change, once, on the message's day, and taken back if wrong."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestrator.channels import Receipt
from orchestrator.core.counts import MEASURES, Counts, add_message
from orchestrator.core.facts import Answered, Cancelled
from orchestrator.core.journey.journey import WaitStep
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.core.values import replace
from orchestrator.engine.commands import ApplyFact, Erase, MoveJourney, RecordReceipt
from orchestrator.reports.building import MOVED_NOTE, Source
from orchestrator.reports.period import Period
from orchestrator.reports.reading import report_of
from tests.engine.test_inside import lie_once
from tests.engine.test_journeys import begin, journey, playing
from tests.engine.world import World
from tests.stores.test_shared import processes

WAIT = (("delivered", 600_000),)
POLICY = Policy("order", "v1", "shop.event", (Step("viber", wait=WAIT), Step("sms", wait=WAIT)))
SMS = Policy("order", "v1", "shop.event", (Step("sms", wait=WAIT),))
FOR_EVER = (0, 99_999_999)


async def sums(world: World, *by: str, **where: str) -> dict[tuple[Any, ...], dict[str, int]]:
    """What the store has counted, by group, without zeros."""
    rows = await world.store.counts(*FOR_EVER, by, {name: [v] for name, v in where.items()})
    named = {row.group: dict(zip(MEASURES, row.numbers, strict=True)) for row in rows}
    return {
        group: {name: number for name, number in numbers.items() if number}
        for group, numbers in named.items()
        if any(numbers.values())
    }


async def ends(world: World) -> dict[tuple[Any, ...], int]:
    found = await sums(world, "channel", "status", "reason")
    return {group: one["messages"] for group, one in found.items() if group[1]}


async def check_against_scan(world: World) -> None:
    messages = [one.message for one in await world.store.messages(limit=1_000)]
    scanned: Counts = {}
    for message in messages:
        add_message(scanned, None, message, world.rules.governance.time_zone)
    expected = {place: numbers for place, numbers in scanned.items() if any(numbers)}
    fields = ("day", *next(iter(expected))[1]._fields)
    rows = await world.store.counts(*FOR_EVER, fields)
    found = {row.group: row.numbers for row in rows if any(row.numbers)}
    assert found == {(day, *key): tuple(numbers) for (day, key), numbers in expected.items()}


def receipt(message: str, attempt: int, state: Delivery | Engagement) -> RecordReceipt:
    provider = "texts" if attempt else "viber_a"
    return RecordReceipt(provider, Receipt(state=state), message, attempt)


async def test_a_message_counts_as_a_whole_and_on_each_channel(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        message = (await world.publish()).messages[0]
        assert await sums(world, "channel") == {("",): {"messages": 1}}
        await world.send(message)
        world.at(601)
        await world.fire()
        await world.send(message, Accepted("id-sms"))
        await world.engine.submit(receipt(message, 1, Engagement.CLICKED))
        found = await sums(world, "channel", status="", reason="")
        cost = 1_200_000
        assert found == {
            ("",): {
                "messages": 1,
                "sends": 1,
                "delivered": 1,
                "read": 1,
                "clicked": 1,
                "cost": cost,
            },
            ("viber",): {"messages": 1, "sends": 1},
            ("sms",): {
                "messages": 1,
                "sends": 1,
                "delivered": 1,
                "read": 1,
                "clicked": 1,
                "cost": cost,
            },
        }
        left = await sums(world, "channel", "reason", channel="viber", status="")
        assert left["viber", "not_delivered_in_time"] == {"messages": 1}
        assert await ends(world) == {("sms", "succeeded", ""): 1}
        await check_against_scan(world)


async def test_a_late_success_moves_the_message_to_where_it_belongs(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        message = (await world.publish()).messages[0]
        await world.send(message)
        world.at(601)
        await world.fire()
        assert await ends(world) == {("", "exhausted", "not_delivered_in_time"): 1}
        world.at(86_400)
        late = RecordReceipt("texts", Receipt(state=Delivery.DELIVERED), message, 0)
        await world.engine.submit(late)
        assert await ends(world) == {("sms", "succeeded", ""): 1}
        assert len(await sums(world, "day")) == 1
        await check_against_scan(world)


async def test_an_unknown_send_costs_until_it_proves_not_to_have_left(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        message = (await world.publish()).messages[0]
        await world.send(message, Unknown(Reason.TIMED_OUT))
        assert (await sums(world, currency="UAH", channel="sms", reason=""))[()] == {
            "messages": 1,
            "sends": 1,
            "cost": 1_200_000,
        }
        await world.engine.submit(ApplyFact(message, Answered(0, NotSent(Reason.NOT_TAKEN))))
        assert await sums(world, channel="sms", status="", reason="") == {}
        await check_against_scan(world)


async def test_a_refusal_costs_nothing(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        message = (await world.publish()).messages[0]
        await world.send(message, Refused(Reason.REFUSED_ADDRESS))
        assert await ends(world) == {("", "exhausted", "refused_address"): 1}
        assert (await sums(world))[()] == {"messages": 3}  # the message, the step, the end
        await check_against_scan(world)


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", 20261118), ("Pacific/Auckland", 20261119), ("Pacific/Apia", 20261119)]
)
async def test_a_day_is_one_of_the_installations_zone(zone: str, day: int, tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db", governance=Governance(time_zone=zone)) as world:
        await world.publish()
        assert list(await sums(world, "day")) == [(day,)]


async def test_a_batch_that_is_decided_again_counts_once(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        (message,) = (await world.publish()).messages
        commits = lie_once(world)
        await world.engine.submit(ApplyFact(message, Cancelled()))
        assert commits == ["lied", "reported"]
        assert await ends(world) == {("", "cancelled", "cancelled"): 1}
        assert (await sums(world, status="", reason=""))[()] == {"messages": 1}
        await check_against_scan(world)


async def test_an_erasure_keeps_the_counts(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        message = (await world.publish()).messages[0]
        await world.send(message)
        await world.engine.submit(Erase("olena"))
        assert await ends(world) == {("", "cancelled", "erased"): 1}
        assert (await sums(world, channel="sms", reason=""))[()]["sends"] == 1
        await check_against_scan(world)


async def test_counts_go_when_their_time_is_over_and_keys_with_them(tmp_path: Path) -> None:
    async with World(SMS, path=tmp_path / "k.db") as world:
        await world.publish()
        keys = await world.open_store.fetch_text("select count(*) from count_keys")
        assert keys[0][0] == 1
        later = world.now + world.store.counts_ms - 86_400_000
        await world.store.purge(later)
        assert await sums(world) != {}
        await world.store.purge(later + 3 * 86_400_000)
        await world.store.purge(later + 3 * 86_400_000)
        assert await sums(world) == {}
        keys = await world.open_store.fetch_text("select count(*) from count_keys")
        assert keys[0][0] == 0


async def test_processes_count_in_rows_of_their_own_which_become_one(
    store: str, postgres_url: str
) -> None:
    if store == "sqlite":
        return  # it has one process
    async with processes(postgres_url, 2, SMS) as both:
        for number, process in enumerate(both):
            (message,) = (await process.publish(str(number), id=f"user-{number}")).messages
            await process.send(message)
        counted = "select distinct slot from counts order by slot"
        assert [row[0] for row in await both[0].open_store.fetch_text(counted)] == [0, 1]
        before = await sums(both[0], "day", "channel")
        assert before[20261118, "sms"]["sends"] == 2
        await both[0].store.purge(both[0].now + 3 * 86_400_000)
        assert [row[0] for row in await both[0].open_store.fetch_text(counted)] == [0]
        assert await sums(both[0], "day", "channel") == before
        await check_against_scan(both[0])


async def test_journeys_count_as_they_are_entered_and_as_they_end() -> None:
    one = replace(journey(WaitStep(60_000)), stage="retention")
    async with playing(one) as world:
        await begin(world)
        entered = {(one.name, "retention", ""): {"messages": 1}}
        assert await sums(world, "journey", "stage", "status") == entered
        world.at(61)
        await world.fire()
        assert await sums(world, "journey", "stage", "status") == {
            **entered,
            (one.name, "retention", "completed"): {"messages": 1},
        }
        view = await report_of(
            Source(world.store, Period(date(2026, 11, 1), date(2026, 12, 1)), "UTC", "UAH"),
            "journey",
            one.name,
        )
        names = [column["name"] for column in view["tables"][0]["columns"]]
        assert dict(zip(names, view["tables"][0]["rows"][0], strict=True)) == {
            "version": one.version,
            "stage": "retention",
            "entered": 1,
            "completed": 1,
        }


async def test_a_moved_run_ends_in_its_new_version_and_its_report_says_so() -> None:
    one = journey(WaitStep(60_000))
    two = replace(one, version="v2")
    async with playing(one) as world:
        id = await begin(world)
        world.journey_versions[two.name, two.version] = two
        world.engine.rules = dataclasses.replace(world.engine.rules, journeys={two.name: two})
        assert await world.engine.submit(MoveJourney(id))
        period = Period(date(2026, 11, 1), date(2026, 12, 1))
        source = Source(world.store, period, "UTC", "UAH")
        assert (await report_of(source, "journey", one.name))["notes"] == []
        world.at(61)
        await world.fire()
        view = await report_of(source, "journey", one.name)
    assert [row[0::2] for row in view["tables"][0]["rows"]] == [["v1", 1], ["v2", 0]]
    assert view["notes"] == [MOVED_NOTE]
