"""Bugs in what reports count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core import counts
from orchestrator.engine import applying, engine
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=0)
def count_doubled_by_a_batch_that_looks_tried_again() -> Sequence[Replacement]:
    """A batch about the same messages as the one before counts twice, as if tried again."""
    original = applying.record_counts
    latest: list[tuple[str, ...]] = []

    def record_counts(context: Any) -> None:
        original(context)
        messages = tuple(sorted(entry.message.id for entry in context.work.messages))
        if messages and latest == [messages]:
            for numbers in context.work.changes.counts.values():
                numbers[:] = [2 * number for number in numbers]
        latest[:] = [messages]

    return [(engine, "record_counts", record_counts)]


@bug(seed=13)
def late_success_is_not_moved() -> Sequence[Replacement]:
    """A message counts under its first end for ever."""
    original = counts.add_message

    def add_message(sums: Any, before: Any, after: Any, zone: str) -> None:
        if before is not None and before.terminal:
            after = after.copy()
            after.status, after.reason = before.status, before.reason
            after.succeeded_by = before.succeeded_by
        original(sums, before, after, zone)

    return [(applying, "add_message", add_message)]


@bug(seed=2)
def day_is_one_of_utc() -> Sequence[Replacement]:
    """A message counts on its day in UTC, not in the installation's zone."""
    original = counts.day_number
    return [(counts, "day_number", lambda at, zone: original(at, "UTC"))]
