"""The states that are drawn are the states that are decided by."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.message import LEGAL, SENDING_LEGAL, TERMINAL, Sending, Status
from orchestrator.core.status import FAILURES, RANK, Delivery
from orchestrator.explain import state_diagram as statediagram

DOC = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_page_of_states_is_what_the_tables_say_today() -> None:
    assert DOC.read_text("utf-8") == statediagram.page(), (
        "run: python -m orchestrator.explain.state_diagram > docs/states.md"
    )


def test_every_transition_has_words_and_there_are_words_for_nothing_else() -> None:
    assert set(statediagram.MOVES) == set(statediagram.edges(LEGAL))
    assert set(statediagram.SENDS) == set(statediagram.sending_edges())


def test_the_tables_name_every_state() -> None:
    assert set(LEGAL) == set(Status)
    assert set(SENDING_LEGAL) == {None, *Sending}
    assert set(RANK) == set(Delivery)
    assert len(set(RANK.values())) == len(RANK), (
        "two states of one rank would depend on their order"
    )


def test_nothing_leaves_a_terminal_status_but_a_late_success() -> None:
    for status in TERMINAL:
        assert LEGAL[status] <= {Status.SUCCEEDED}
    assert all(LEGAL[status] for status in set(Status) - TERMINAL)


def test_every_failure_is_above_sent_and_below_delivered() -> None:
    assert {RANK[state] for state in FAILURES} == set(
        range(RANK[Delivery.SENT] + 1, RANK[Delivery.DELIVERED])
    )
