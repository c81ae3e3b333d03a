"""Draws follow their shares and lags; changes and intervals are counted right."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from orchestrator.core.status import Delivery
from orchestrator.simulate.behaviour import (
    Lag,
    assumed,
    draw,
    react,
)
from orchestrator.simulate.changes import changes
from orchestrator.simulate.outcomes import MessageOutcome
from orchestrator.simulate.statistics import Interval, count_by_group, interval, over_runs


def test_chances_follow_the_shares_and_lags_they_are_drawn_from() -> None:
    behaviour = assumed().of("anybody", "viber")
    reactions = [react(behaviour, draw(1, 0, "e", number)) for number in range(20_000)]
    kinds = Counter(type(one.outcome).__name__ for one in reactions)
    assert kinds["Refused"] / len(reactions) == pytest.approx(0.15, abs=0.01)
    taken = [one for one in reactions if type(one.outcome).__name__ == "Accepted"]
    delivered = [
        one.receipts[0].after_ms
        for one in taken
        if one.receipts and one.receipts[0].state is Delivery.DELIVERED
    ]
    assert len(delivered) / len(taken) == pytest.approx(0.85, abs=0.01)
    ordered = sorted(delivered)
    assert ordered[len(ordered) // 2] == pytest.approx(6_000, rel=0.1)
    assert ordered[int(len(ordered) * 0.95)] == pytest.approx(300_000, rel=0.15)
    read = sum(any(receipt.state.value == "read" for receipt in one.receipts) for one in taken)
    assert read / len(delivered) == pytest.approx(0.6, abs=0.02)


def test_a_measured_lag_is_drawn_as_it_was_measured() -> None:
    lag = Lag(quantiles=(10.0, 20.0, 100.0))
    assert [lag.at(chance) for chance in (0, 0.25, 0.5, 0.75, 1)] == [10, 15, 20, 60, 100]


def outcome(
    recipient: str,
    status: str,
    by: str = "",
    cost: int = 0,
    sends: tuple[str, ...] = (),
    at: int = 0,
) -> MessageOutcome:
    made = MessageOutcome(
        "s e", recipient, "tale", "transactional", "uk", status, "", by, cost=cost
    )
    made.sends = [(channel, at) for channel in sends]
    return made


def test_changes_are_shown_by_their_kind() -> None:
    before = [
        outcome("a", "succeeded", "viber", 700_000, ("viber",)),
        outcome("b", "succeeded", "viber", 700_000, ("viber",)),
        outcome("c", "succeeded", "sms", 1_900_000, ("viber", "sms")),
        outcome("d", "exhausted"),
        outcome("e", "succeeded", "viber", 700_000, ("viber",)),
    ]
    after = [
        outcome("a", "succeeded", "sms", 1_200_000, ("sms",)),
        outcome("b", "succeeded", "viber", 700_000, ("viber",), at=5),
        outcome("c", "succeeded", "sms", 1_200_000, ("sms",)),
        outcome("e", "succeeded", "viber", 700_000, ("viber",)),
        outcome("f", "exhausted"),
    ]
    found = {
        kind: (change.count, round(change.cost, 2), change.examples)
        for kind, change in changes(before, after).items()
    }
    assert found == {
        "reached by sms instead of reached by viber": (1, 0.5, ["a"]),
        "reached by viber as before, at another time": (1, 0.0, ["b"]),
        "reached by sms as before, no longer sent on viber": (1, -0.7, ["c"]),
        "no message any more": (1, 0.0, ["d"]),
        "now a message, exhausted": (1, 0.0, ["f"]),
    }


def test_an_interval_is_where_the_next_run_lies_nine_times_of_ten() -> None:
    """Five runs of mean 3 and deviation 1.58; Student's t of four degrees is 2.132."""
    found = interval([1.0, 5.0, 2.0, 4.0, 3.0])
    half = 2.132 * 2.5**0.5 * 1.2**0.5
    assert found.median == 3
    assert found.low == pytest.approx(3 - half, abs=0.01)
    assert found.high == pytest.approx(3 + half, abs=0.01)
    assert interval([7.0]) == interval([7.0, 7.0]) == Interval(7.0, 7.0, 7.0)
    assert interval([0.0, 1.0, 2.0], least=0).low == 0


@pytest.mark.parametrize("runs", [2, 3, 5, 12])
def test_intervals_hold_what_they_promise(runs: int) -> None:
    rng, held = random.Random(runs), 0
    for _ in range(4_000):
        found = interval([rng.gauss() for _ in range(runs)])
        held += found.low <= rng.gauss() <= found.high
    assert held / 4_000 == pytest.approx(0.9, abs=0.02)


def test_figures_of_runs_have_their_intervals() -> None:
    runs = [
        count_by_group(
            [outcome(str(n), "succeeded" if n < reached else "exhausted", "sms") for n in range(4)]
        )
        for reached in (1, 4, 2)
    ]
    found = over_runs(runs)[("all", "")]
    reach = found["total", "reach"]
    assert (reach.low, reach.median, reach.high) == (0, 0.5, 1.0)
    assert found["ended", "exhausted"].low == 0


def test_runs_that_agree_by_chance_do_not_make_a_count_certain() -> None:
    """Ten messages are late in each run, while the number of those who were reached varies."""
    runs = []
    for reached, flagged in ((50, 10), (60, 10), (55, 10), (45, 10)):
        outcomes = [outcome(str(n), "succeeded" if n < reached else "exhausted") for n in range(99)]
        for one in outcomes[:flagged]:
            one.flags = ("late",)
        runs.append(count_by_group(outcomes))
    found = over_runs(runs)["all", ""]
    late = found["flags", "late"]
    assert late.low < 8
    assert late.high > 12
    assert found["total", "messages"] == Interval(99, 99, 99)
    same = over_runs(runs[:1] * 4)["all", ""]
    assert same["flags", "late"] == Interval(10, 10, 10)
