"""Statuses and sending halves move along the tables that are drawn, and by one writer each."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from orchestrator import core
from orchestrator.core.cascade.builder import DecisionBuilder, IllegalMove
from orchestrator.core.effects import EmitStatus
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import SENDING_LEGAL, STATUS_LEGAL, Sending, Status
from orchestrator.core.policy import Step
from tests.core.tale import START, Tale

WRITER = Path("cascade/builder.py")


def a_builder() -> DecisionBuilder:
    tale = Tale(Step("sms"), Step("email"))
    return DecisionBuilder(tale.policy, tale.message.copy(), Inputs, START)


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_status_moves_along_its_table_and_is_emitted_or_raises(
    before: Status, after: Status
) -> None:
    builder = a_builder()
    builder.message.status = before
    if after in STATUS_LEGAL[before]:
        builder.move_status(after)
        assert builder.message.status is after
        assert builder.effects == [EmitStatus(f"message.{after}")]
    else:
        with pytest.raises(IllegalMove, match=f"status {before} cannot become {after}"):
            builder.move_status(after)
        assert builder.message.status is before


@pytest.mark.parametrize(("before", "after"), list(product([None, *Sending], Sending)))
def test_a_sending_half_moves_along_its_table_or_raises(
    before: Sending | None, after: Sending
) -> None:
    builder = a_builder()
    run = builder.start(1)
    if before is not None:
        builder.started.clear()
        run.sending = before
    if after in SENDING_LEGAL[before] or after is before:
        builder.move_sending(run, after)
        assert run.sending is after
        assert builder.started == set()
    else:
        with pytest.raises(IllegalMove, match=rf"step 1 \(email\) cannot go from .* to {after}"):
            builder.move_sending(run, after)
        assert run.sending is (before or Sending.IDLE)


def test_only_the_builder_writes_a_status_a_sending_half_or_a_delivery_state() -> None:
    root = Path(next(iter(core.__path__)))
    writes = re.compile(r"\b\w+\.(status|sending|state) = ")
    writers = {
        path.relative_to(root): writes.findall(text)
        for path in root.rglob("*.py")
        if writes.search(text := path.read_text("utf-8"))
    }
    journeys = Path("journey/builder.py")  # their status has a table of its own
    assert writers == {WRITER: ["status", "sending", "state"], journeys: ["status"]}
