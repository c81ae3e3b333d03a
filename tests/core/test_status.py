"""Receipts may come in any order, any number of times, and an attempt's state is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.status import (
    FAILURES,
    RANK,
    WAITABLE,
    Delivery,
    Engagement,
    merge_delivery,
    merge_engagement,
    reached,
)
from tests.properties.sizes import examples

DELIVERIES = st.sampled_from(list(Delivery))
REPORTED = st.tuples(st.sampled_from([one.value for one in Engagement]), st.integers(0, 9))


def all_deliveries(reported: list[Delivery]) -> Delivery:
    state = Delivery.CREATED
    for one in reported:
        state = merge_delivery(state, one)
    return state


def all_engagement(reported: list[tuple[str, int]]) -> dict[str, int]:
    state: dict[str, int] = {}
    for name, at in reported:
        state = merge_engagement(state, name, at)
    return state


# -- delivery


def test_the_ranks_are_in_the_order_in_which_a_message_travels() -> None:
    order = "created queued submitted accepted sent cancelled rejected failed expired delivered"
    assert " ".join(state.value for state in sorted(RANK, key=RANK.__getitem__)) == order
    assert set(RANK) == set(Delivery)
    assert len(set(RANK.values())) == len(RANK)


@given(DELIVERIES, DELIVERIES, DELIVERIES)
def test_delivery_receipts_merge_the_same_in_any_order_grouping_and_number(
    a: Delivery, b: Delivery, c: Delivery
) -> None:
    assert merge_delivery(a, b) == merge_delivery(b, a)
    assert merge_delivery(merge_delivery(a, b), c) == merge_delivery(a, merge_delivery(b, c))
    assert merge_delivery(a, a) == a
    assert merge_delivery(a, b) in (a, b)


@examples(60, 300, st.data(), st.lists(DELIVERIES, max_size=8))
def test_any_order_and_any_repeats_of_delivery_receipts_give_one_state(
    data: st.DataObject, reported: list[Delivery]
) -> None:
    again = data.draw(st.permutations(reported + reported[:3]))
    assert all_deliveries(again) == all_deliveries(reported)
    assert all_deliveries(reported) == max([Delivery.CREATED, *reported], key=RANK.__getitem__)


@pytest.mark.parametrize("failure", sorted(FAILURES))
def test_a_failure_never_takes_back_a_delivery_and_a_delivery_heals_a_failure(
    failure: Delivery,
) -> None:
    assert merge_delivery(Delivery.DELIVERED, failure) is Delivery.DELIVERED
    assert merge_delivery(failure, Delivery.DELIVERED) is Delivery.DELIVERED


@pytest.mark.parametrize("failure", sorted(FAILURES))
@pytest.mark.parametrize(
    "known",
    [Delivery.CREATED, Delivery.QUEUED, Delivery.SUBMITTED, Delivery.ACCEPTED, Delivery.SENT],
)
def test_a_failure_outranks_everything_short_of_delivery(
    failure: Delivery, known: Delivery
) -> None:
    assert merge_delivery(known, failure) is failure
    assert merge_delivery(failure, known) is failure


# -- engagement


@examples(60, 300, st.data(), st.lists(REPORTED, max_size=8))
def test_any_order_and_any_repeats_of_engagement_keep_the_first_time_of_each(
    data: st.DataObject, reported: list[tuple[str, int]]
) -> None:
    again = data.draw(st.permutations(reported + reported[:3]))
    assert all_engagement(again) == all_engagement(reported)
    assert all_engagement(reported) == {
        name: min(at for other, at in reported if other == name) for name, _ in reported
    }


def test_merging_leaves_what_was_known_as_it_was() -> None:
    known = {"read": 5}
    assert merge_engagement(known, "read", 3) == {"read": 3}
    assert merge_engagement(known, "clicked", 9) == {"read": 5, "clicked": 9}
    assert known == {"read": 5}


# -- what is reached


@pytest.mark.parametrize(
    ("delivery", "engagement", "expected"),
    [
        ("created", "", ""),
        ("queued", "", ""),
        ("submitted", "", ""),
        ("accepted", "", ""),
        ("sent", "", "sent"),
        ("cancelled", "", ""),
        ("rejected", "", ""),
        ("failed", "", ""),
        ("expired", "", ""),
        ("delivered", "", "sent delivered"),
        ("delivered", "read", "sent delivered read"),
        ("delivered", "clicked", "sent delivered read clicked"),
        ("delivered", "replied", "sent delivered read clicked replied"),
        ("delivered", "read replied", "sent delivered read clicked replied"),
        ("accepted", "read", "sent delivered read"),
        ("failed", "clicked", "sent delivered read clicked"),
        ("created", "complained", "sent delivered"),
        ("sent", "dismissed", "sent delivered"),
        ("failed", "unsubscribed", "sent delivered"),
        ("delivered", "dismissed read", "sent delivered read"),
    ],
)
def test_each_state_implies_those_before_it_and_engagement_implies_delivery(
    delivery: str, engagement: str, expected: str
) -> None:
    assert reached(Delivery(delivery), dict.fromkeys(engagement.split(), 1)) == set(
        expected.split()
    )


@examples(60, 300, DELIVERIES, st.lists(REPORTED, max_size=4))
def test_what_is_reached_has_no_holes(delivery: Delivery, reported: list[tuple[str, int]]) -> None:
    found = reached(delivery, all_engagement(reported))
    assert found == set(WAITABLE[: len(found)])


@examples(
    60,
    300,
    st.lists(DELIVERIES, max_size=5),
    st.lists(REPORTED, max_size=4),
    DELIVERIES.filter(lambda one: one not in FAILURES),
    REPORTED,
)
def test_a_better_receipt_never_takes_back_what_was_reached(
    deliveries: list[Delivery],
    reported: list[tuple[str, int]],
    delivery: Delivery,
    latest: tuple[str, int],
) -> None:
    before = reached(all_deliveries(deliveries), all_engagement(reported))
    after = reached(all_deliveries([*deliveries, delivery]), all_engagement([*reported, latest]))
    assert before <= after
