"""
What a simulation predicts of a change is what then happens, in towns of which everything is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.simulate.as_it_was import EVERYTHING
from tests.simulate.prediction import CHANGES, SyntheticPlace, table
from tests.simulate.town import Town

REACH_POINTS = 0.03
COST_SHARE = 0.05
HELD = 0.85
TOWNS = range(20, 26)
CHANGED = [change for change in CHANGES if change != "nothing"]


def test_a_change_of_policy_is_predicted_in_a_town_of_known_people(tmp_path: Path) -> None:
    place = SyntheticPlace(Town(3, people=70, each=4), tmp_path)
    rows = list(place.rows(["a delivery is enough"], runs=5))
    reach, cost, *_ = rows
    assert abs(reach.found.median - reach.true) < REACH_POINTS, table(rows)
    assert abs(cost.found.median / cost.true - 1) < COST_SHARE, table(rows)
    assert reach.held and cost.held, table(rows)


def test_the_past_is_shown_as_it_was_and_reproduced(tmp_path: Path) -> None:
    """Two policies with two audiences: one reads twice as much as the other."""
    place = SyntheticPlace(Town(4, people=50, each=4), tmp_path)
    past = place.predicted(place.learnt(), "nothing", runs=4).past
    assert past is not None
    assert past.messages > 150
    assert set(past.real) == {("all", ""), ("policy", "sale"), ("policy", "parcel")}
    missed = [(group, name) for group, name, _, _ in past.misses() if group == EVERYTHING]
    assert EVERYTHING in past.simulated
    assert missed == []


@pytest.mark.verify
def test_changes_are_predicted_and_intervals_hold_in_many_towns(tmp_path: Path) -> None:
    """Small towns have luck of their own, so the costs of a change are added up over them."""
    rows = []
    for seed in TOWNS:
        place = SyntheticPlace(Town(seed, people=45, each=4), tmp_path / str(seed))
        rows += list(place.rows(CHANGED, runs=5))
    print(table(rows))
    for change in CHANGED:
        reach = [row for row in rows if (row.change, row.figure) == (change, "total reach")]
        off = sum(row.found.median - row.true for row in reach) / len(reach)
        assert abs(off) < REACH_POINTS, change
        cost = [row for row in rows if (row.change, row.figure) == (change, "total cost")]
        ratio = sum(row.found.median for row in cost) / sum(row.true for row in cost)
        assert abs(ratio - 1) < COST_SHARE, change
    assert sum(row.held for row in rows) / len(rows) >= HELD
