"""The states that are drawn are the states that are decided by."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.message import SENDING_LEGAL, STATUS_LEGAL, TERMINAL, Sending, Status
from orchestrator.core.status import FAILURES, RANK, Delivery
from orchestrator.explain import state_diagram

DOC = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_page_of_states_is_what_the_tables_say_today() -> None:
    assert DOC.read_text("utf-8") == state_diagram.page(), (
        "run: python -m orchestrator.explain.state_diagram > docs/states.md"
    )


def test_every_transition_has_words_and_there_are_words_for_nothing_else() -> None:
    assert set(state_diagram.MOVES) == set(state_diagram.edges(STATUS_LEGAL))
    assert set(state_diagram.SENDS) == set(state_diagram.sending_edges())


def test_the_tables_name_every_state() -> None:
    assert set(STATUS_LEGAL) == set(Status)
    assert set(SENDING_LEGAL) == {None, *Sending}
    assert set(RANK) == set(Delivery)
    assert len(set(RANK.values())) == len(RANK), (
        "two states of one rank would depend on their order"
    )


def test_nothing_leaves_a_terminal_status_but_a_late_success() -> None:
    for status in TERMINAL:
        assert STATUS_LEGAL[status] <= {Status.SUCCEEDED}
    assert all(STATUS_LEGAL[status] for status in set(Status) - TERMINAL)


def test_every_failure_is_above_sent_and_below_delivered() -> None:
    assert {RANK[state] for state in FAILURES} == set(
        range(RANK[Delivery.SENT] + 1, RANK[Delivery.DELIVERED])
    )
