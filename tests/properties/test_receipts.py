"""
Receipts of one attempt, in any order and any number, leave one state behind, and end their message
alike.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.message import Attempt
from orchestrator.core.policy import DAY_MS, Step
from orchestrator.core.status import Delivery, Engagement
from tests.core.tale import Tale
from tests.properties.sizes import runs, sizes

WORDS = st.sampled_from(
    [*(state.value for state in Delivery), *(word.value for word in Engagement)]
)
RECEIPTS = st.lists(st.tuples(WORDS, st.integers(0, 5)), max_size=7)
DAY_LONG = Step("viber", wait=(("delivered", DAY_MS),))


def tale_of(receipts: list[tuple[str, int]]) -> tuple[Tale, Attempt]:
    """
    The same life, with these receipts in this order; each with the time at which it says that it
    happened.
    """
    tale = Tale(DAY_LONG, late="close")
    number = tale.send(1)
    for state, at in receipts:
        tale.receive(at, number, state)
    return tale, tale.message.attempts[number]


@sizes(150, 20_000)
def test_order_and_repeats_of_receipts_change_nothing(size: int) -> None:
    @runs(size)
    @given(RECEIPTS, st.data())
    def holds(receipts: list[tuple[str, int]], data: st.DataObject) -> None:
        again = data.draw(st.permutations(receipts + receipts[:3]))
        doubled = [one for receipt in receipts for one in (receipt, receipt)]
        (one, first), (other, second) = tale_of(receipts), tale_of(again)
        assert (first.state, first.engagement) == (second.state, second.engagement)
        assert {state: first.times[state] for state, _ in receipts} == {
            state: second.times[state] for state, _ in receipts
        }
        assert (one.status == "succeeded") is (other.status == "succeeded")
        assert one.message == tale_of(doubled)[0].message

    holds()
