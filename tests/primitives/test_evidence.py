"""What counts prove: intervals that hold at every look, and a sample ratio that is off."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from orchestrator.core.policy import Arm
from orchestrator.engine.experiments import thompson_draws
from orchestrator.primitives.evidence import ArmCounts, difference, ratio_evidence, result_of

DAYS = 30
RUNS = 1_000


def binomial(chance: random.Random, people: int, rate: float) -> int:
    """How many of many people succeed: a binomial number by its normal approximation."""
    found = round(chance.gauss(people * rate, (people * rate * (1 - rate)) ** 0.5))
    return min(people, max(0, found))


def days(
    chance: random.Random, rates: tuple[float, float], a_day: int
) -> Iterator[tuple[ArmCounts, ArmCounts]]:
    """The counts of two arms at the end of each day."""
    counts = [[0, 0], [0, 0]]
    for _ in range(DAYS):
        first = binomial(chance, a_day, 0.5)
        for place, people in enumerate((first, a_day - first)):
            counts[place][0] += people
            counts[place][1] += binomial(chance, people, rates[place])
        yield ArmCounts(*counts[0]), ArmCounts(*counts[1])


@pytest.mark.parametrize(
    ("rates", "a_day"),
    [((0.10, 0.11), 6_667), ((0.10, 0.10), 6_667), ((0.02, 0.02), 300), ((0.5, 0.5), 100)],
)
def test_intervals_hold_at_all_looks_together(rates: tuple[float, float], a_day: int) -> None:
    chance = random.Random(7)
    true = rates[1] - rates[0]
    missed = named = 0
    for _ in range(RUNS):
        looks = [difference(other, one) for one, other in days(chance, rates, a_day)]
        missed += any(not look.low <= true <= look.high for look in looks)
        named += any(look.low > 0 or look.high < 0 for look in looks)
    assert missed / RUNS <= 0.07
    if true:
        assert named / RUNS > 0.95, "an effect of a tenth is found among 200 000 people"
    else:
        assert named / RUNS <= 0.06


def test_a_sample_ratio_that_is_off_names_no_winner() -> None:
    good = {"a": ArmCounts(10_000, 1_000), "b": ArmCounts(10_050, 1_400)}
    found = result_of(good, {"a": 1, "b": 1})
    assert (found.winner, found.ratio_is_off) == ("b", False)
    bad = {"a": ArmCounts(10_000, 1_000), "b": ArmCounts(11_000, 1_600)}
    found = result_of(bad, {"a": 1, "b": 1})
    assert (found.winner, found.ratio_is_off) == (None, True)
    assert result_of(bad, None).winner == "b", "nothing is expected of changing weights"


def test_a_right_sample_ratio_is_hardly_ever_called_off() -> None:
    chance = random.Random(3)
    off = 0
    for _ in range(RUNS):
        counts = [0, 0]
        worst = 0.0
        for _ in range(DAYS):
            first = binomial(chance, 6_667, 0.9)
            counts[0] += first
            counts[1] += 6_667 - first
            worst = max(worst, ratio_evidence(counts, [9, 1]))
        off += worst >= 1_000
    assert off / RUNS <= 0.003


def test_the_chance_of_being_best_adds_up_and_follows_the_counts() -> None:
    even = result_of({"a": ArmCounts(500, 50), "b": ArmCounts(500, 50)}, None).best
    assert even["a"] == pytest.approx(0.5, abs=1e-6)
    three = {"a": ArmCounts(0, 0), "b": ArmCounts(1_000, 100), "c": ArmCounts(1_000, 160)}
    best = result_of(three, None).best
    assert sum(best.values()) == pytest.approx(1)
    assert best["b"] < 0.01
    assert best["a"] == pytest.approx(0.84, abs=0.02), "nobody has met it, so it may be anything"
    chance = random.Random(1)
    drawn = sum(chance.betavariate(161, 841) > chance.betavariate(131, 871) for _ in range(20_000))
    pair = result_of({"b": ArmCounts(1_000, 130), "c": ArmCounts(1_000, 160)}, None).best
    assert pair["c"] == pytest.approx(drawn / 20_000, abs=0.01)


def test_too_few_people_prove_nothing() -> None:
    few = {"a": ArmCounts(20, 0), "b": ArmCounts(20, 15)}
    found = result_of(few, {"a": 1, "b": 1})
    assert found.winner is None
    assert result_of({"a": ArmCounts(0, 0), "b": ArmCounts(0, 0)}, {"a": 1, "b": 1}).winner is None


def test_thompson_loses_at_most_half_of_what_fixed_shares_lose() -> None:
    people, rates = 20_000, {"a": 0.10, "b": 0.12}
    arms = [Arm(name, 1) for name in rates]
    fixed = people / 2 * (rates["b"] - rates["a"])
    lost = 0.0
    runs = 4
    for run in range(runs):
        chance = random.Random(run)
        counts = {("x", name): [0, 0] for name in rates}
        for person in range(people):
            draws = thompson_draws("x", arms, counts, f"{run}/{person}")
            name = max(draws, key=lambda one: draws[one])
            counts["x", name][0] += 1
            counts["x", name][1] += chance.random() < rates[name]
            lost += rates["b"] - rates[name]
    assert lost / runs <= fixed / 2
