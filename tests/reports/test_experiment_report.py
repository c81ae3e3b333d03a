"""The report of an experiment over a real store: what its people prove, and when nothing does."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from orchestrator.configuration.policy_file import policy_to_document
from orchestrator.core.policy import Arm, Experiment, Goal, Policy, Step
from orchestrator.core.values import replace
from orchestrator.engine.experiments import drawn_arm
from orchestrator.reports.building import Source
from orchestrator.reports.document import Cell, ReportView
from orchestrator.reports.page import as_page
from orchestrator.reports.period import Period
from orchestrator.reports.reading import report_of
from orchestrator.reports.text import as_csv, as_text
from orchestrator.reports.unknown import UnknownName
from tests.api.site import is_problem, open_site
from tests.engine.world import World, address_hash

NOVEMBER = Period(date(2026, 11, 1), date(2026, 12, 1), "week")
TONE = Experiment("tone", (Arm("control", 45), Arm("warm", 45), Arm("holdout", 10, hold_out=True)))
CART = Policy(
    "cart", "v1", "shop.cart", (Step("sms", wait=(("delivered", 600_000),)),),
    goal=Goal("shop.order", "goal.cart == event.cart"), experiment=TONE,
)  # fmt: skip


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(CART, path=tmp_path / "k.db", url=store_url) as made:
        yield made


async def met(world: World, experiment: str = "tone", /, **arms: tuple[int, int]) -> None:
    """So many people met each arm, and it succeeded with so many of them."""
    statement = world.open_store.queries["add_exposures"]
    for arm, counts in arms.items():
        await world.open_store.transact([(statement, (experiment, arm, *counts))])


async def built(world: World, *policies: Policy, name: str = "tone") -> ReportView:
    by_name = {policy.name: policy for policy in policies}
    return await report_of(Source(world.store, NOVEMBER, "UTC", "UAH", by_name), "experiment", name)


def rows(view: ReportView, title: str) -> dict[Cell, dict[str, Cell]]:
    """The rows of the table whose title begins so, by their first cell."""
    (found,) = (one for one in view["tables"] if one["title"].startswith(title))
    names = [one["name"] for one in found["columns"]]
    return {row[0]: dict(zip(names, row, strict=True)) for row in found["rows"]}


def of(**weights: int) -> Policy:
    """The policy with other arms."""
    arms = tuple(Arm(name, weight) for name, weight in weights.items())
    return replace(CART, experiment=replace(TONE, arms=arms))


async def keep(world: World, policy: Policy) -> None:
    document = {"policy": policy_to_document(policy)}
    await world.store.keep_version("policy", policy.name, policy.version, document)


def somebody(arm: str) -> str:
    people = (f"u{n}" for n in range(1_000))
    return next(id for id in people if drawn_arm(TONE, TONE.arms, id, address_hash).name == arm)


async def test_the_numbers_are_those_of_a_case_worked_by_hand(world: World) -> None:
    """
    100 and 150 of 1 000 people: p(1-p) is 101·901/1002² = 0.090638 and 151·851/1002² = 0.127989, so
    the variance of the difference is 0.000218627, τ² is a hundredth of their mean, which is 5 times
    that variance, and half the interval is √(0.000218627 · 6/5 · (ln 6 - 2 ln 0.05)) = 0.045188.
    """
    await met(world, control=(1_000, 100), warm=(1_000, 150))
    view = await built(world, of(control=1, warm=1))
    assert rows(view, "difference") == {
        "warm": {
            "arm": "warm",
            "difference": 0.05,
            "low": pytest.approx(0.05 - 0.045188, abs=1e-6),
            "high": pytest.approx(0.05 + 0.045188, abs=1e-6),
            "shown": "higher",
        }
    }
    people = rows(view, "people")
    assert (people["warm"]["rate"], people["control"]["rate"]) == (0.15, 0.1)
    # for one rate the variance is 1 000 times smaller than p(1-p), so τ² is 10 times it, and half
    # the interval is √(0.000127989 · 11/10 · (ln 11 - 2 ln 0.05)) = 0.034367
    assert people["warm"]["low"] == pytest.approx(0.15 - 0.034367, abs=1e-6)
    # 0.05 is 3.386 standard deviations of 0.014767 from 0, a chance of 0.99965
    assert people["warm"]["best"] == pytest.approx(0.99965, abs=2e-4)
    assert view["conclusion"]["state"] == "winner"
    assert view["conclusion"]["winner"] == "warm"


async def test_people_and_messages_are_counted_by_arm_and_held_out_people_too(
    world: World,
) -> None:
    for arm in ("control", "warm", "holdout"):
        who = somebody(arm)
        for number in (1, 2):
            published = await world.publish(
                f"{arm}{number}", {"cart": number}, type="shop.cart", id=who
            )
            if arm != "holdout":
                await world.send(published.messages[0])
    await world.publish("order", {"cart": 1}, type="shop.order", id=somebody("holdout"))
    view = await built(world, CART)
    assert [
        (row["arm"], row["role"], row["people"], row["succeeded"])
        for row in rows(view, "people").values()
    ] == [("control", "control", 1, 0), ("warm", "", 1, 0), ("holdout", "held out", 1, 1)]
    messages = rows(view, "messages of")
    assert {arm: (row["messages"], row["cost"]) for arm, row in messages.items()} == {
        "control": (2, "2.40"),
        "warm": (2, "2.40"),
        "holdout": (2, "0.00"),
    }
    assert view["conclusion"]["state"] == "too_few"
    assert "control, warm, holdout" in view["conclusion"]["words"]
    (by_week,) = (one for one in view["tables"] if one["title"] == "messages by week")
    assert [row[:4] for row in by_week["rows"]] == [
        ["2026-11-16", "control", 2, 2],
        ["2026-11-16", "warm", 2, 2],
        ["2026-11-16", "holdout", 2, 0],
    ]


@pytest.mark.parametrize(
    ("arms", "state", "words"),
    [
        ({}, "nobody", "nobody has met"),
        ({"control": (1_000, 100), "warm": (1_000, 105)}, "not_shown", "no arm is shown"),
        ({"control": (60, 10), "warm": (49, 40)}, "too_few", "(warm)"),
        ({"control": (100, 2), "warm": (100, 2)}, "too_few", "(control, warm)"),
        ({"control": (10_000, 100), "warm": (11_000, 900)}, "ratio_off", "warm 52.4% in place of"),
        ({"control": (900, 9), "warm": (900, 200), "old": (9, 1)}, "changed", "another name"),
    ],
)
async def test_no_winner_is_named_where_nothing_proves_one(
    tmp_path: Path, arms: dict[str, tuple[int, int]], state: str, words: str
) -> None:
    async with World(path=tmp_path / "k.db") as world:
        await met(world, **arms)
        found = (await built(world, of(control=1, warm=1)))["conclusion"]
    assert (found["state"], found["winner"]) == (state, None)
    assert found["words"].startswith("No winner is named: ")
    assert words in found["words"]


async def test_held_out_people_are_not_compared_by_what_they_cannot_do(tmp_path: Path) -> None:
    clicks = replace(CART, experiment=replace(TONE, metric="clicked"))
    async with World(path=tmp_path / "k.db") as world:
        await met(world, control=(4_500, 400), warm=(4_500, 700), holdout=(1_000, 0))
        view = await built(world, clicks)
        assert list(rows(view, "difference")) == ["warm"]
        assert rows(view, "people")["holdout"]["rate"] is None
        assert rows(view, "people")["holdout"]["people"] == 1_000
        assert view["conclusion"]["winner"] == "warm"
        alone = replace(TONE, metric="clicked", arms=(TONE.arms[0], TONE.arms[2]))
        view = await built(world, replace(CART, experiment=alone), name="tone")
        assert view["conclusion"]["state"] == "changed", "`warm` has gone"
        await met(world, "other", control=(500, 10), holdout=(55, 0))
        view = await built(
            world, replace(CART, experiment=replace(alone, name="other")), name="other"
        )
        assert view["conclusion"]["state"] == "one_arm"


async def test_thompson_expects_no_shares(tmp_path: Path) -> None:
    policy = of(control=1, warm=1)
    thompson = replace(TONE, arms=of(control=1, warm=1).experiment.arms, allocate="thompson")  # type: ignore[union-attr]
    async with World(path=tmp_path / "k.db") as world:
        await met(world, control=(1_000, 50), warm=(9_000, 1_400))
        assert (await built(world, policy))["conclusion"]["state"] == "ratio_off"
        view = await built(world, replace(policy, experiment=thompson))
        assert view["conclusion"]["winner"] == "warm"


async def test_an_experiment_that_has_ended_is_read_from_the_version_that_ran_it(
    world: World,
) -> None:
    await keep(world, CART)
    for arm in ("control", "warm"):
        published = await world.publish(arm, {"cart": 1}, type="shop.cart", id=somebody(arm))
        await world.send(published.messages[0])
    await met(world, control=(4_499, 400), warm=(4_499, 700), holdout=(1_000, 50))
    view = await built(world, replace(CART, version="v2", experiment=None))
    assert view["conclusion"]["winner"] == "warm"
    assert rows(view, "people")["holdout"]["role"] == "held out"
    assert rows(view, "messages of")["warm"]["messages"] == 1
    assert any("no longer has this experiment" in note for note in view["notes"])
    fewer = replace(CART, version="v2", experiment=replace(TONE, arms=TONE.arms[:2]))
    view = await built(world, fewer)
    assert rows(view, "people")["holdout"]["role"] == "removed"
    assert view["conclusion"]["state"] == "changed"
    other = tuple(replace(arm, weight=arm.weight + 5) for arm in TONE.arms)
    view = await built(world, replace(CART, version="v3", experiment=replace(TONE, arms=other)))
    assert view["conclusion"]["state"] == "changed", "the counts are of other weights"


async def test_an_experiment_of_which_no_version_is_left_has_numbers_and_no_winner(
    world: World,
) -> None:
    await met(world, b=(1_000, 100), a=(1_000, 200))
    view = await built(world)
    assert list(rows(view, "people")) == ["a", "b"]
    assert rows(view, "difference")["b"]["shown"] == "lower"
    assert view["conclusion"]["state"] == "unknown"


async def test_an_experiment_that_nobody_has_is_named_with_a_near_one(tmp_path: Path) -> None:
    async with World(CART, path=tmp_path / "k.db") as world:
        with pytest.raises(UnknownName, match="give it `experiment`"):
            await built(world, name="tnoe")
        with pytest.raises(UnknownName, match="did you mean 'tone'"):
            await built(world, CART, name="tnoe")
        await met(world, "old_one", a=(1, 0))
        with pytest.raises(UnknownName, match="there are old_one, tone"):
            await built(world, CART, name="zzz")


async def test_it_is_written_as_text_csv_and_a_page(tmp_path: Path) -> None:
    arms = [f"a_rather_long_name_{n}" for n in range(4)]
    policy = of(control=1, **dict.fromkeys(arms, 1))
    async with World(path=tmp_path / "k.db") as world:
        counts = (12_345_678, 1_234_567)
        await met(world, control=counts, **dict.fromkeys(arms, counts))
        view = await built(world, policy)
    text = as_text(view).splitlines()
    assert max(map(len, text)) <= 80
    assert text[2].startswith("No winner is named: no arm is shown yet")
    first = next(csv.DictReader(as_csv(view).splitlines()))
    assert (first["arm"], first["people"], first["succeeded"]) == ("control", "12345678", "1234567")
    page = as_page(view)
    assert "<strong>No winner is named" in page
    assert page.count('class="bounds"') == 5


async def test_it_is_read_over_http() -> None:
    async with open_site(world=World(CART)) as site:
        await met(site.world, control=(20, 1), warm=(20, 2))
        found = await site.client.get("/v1/reports/experiments/tone")
        assert found.status_code == 200
        assert found.json()["conclusion"]["state"] == "too_few"
        wrong = await site.client.get("/v1/reports/experiments/tine")
        assert "did you mean 'tone'?" in is_problem(wrong, 404, "unknown_experiment")["detail"]
