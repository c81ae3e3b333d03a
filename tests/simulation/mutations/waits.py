"""Bugs in waiting and in receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core import facts as core_facts
from orchestrator.core import status
from orchestrator.core.cascade import builder as builder_module
from orchestrator.core.cascade import decide, sending, waiting
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from tests.simulation.mutations.registry import Replacement, bug


@bug()
def timer_without_generation_check() -> Sequence[Replacement]:
    """Any timer that fires is taken for the end of the current step's wait."""
    original = decide.apply

    def apply(builder: Any, fact: Any) -> None:
        original(builder, fact)
        run = builder.message.current
        if isinstance(fact, core_facts.Due) and run is not None and run.handed_off_at is not None:
            builder.leave(run, Reason.NOT_DELIVERED_IN_TIME)

    return [(decide, "apply", apply)]


@bug()
def receipt_overwrites() -> Sequence[Replacement]:
    """The last receipt wins, instead of the highest."""

    def merge(known: Delivery, reported: Delivery) -> Delivery:
        return reported

    return [(builder_module, "merge_delivery", merge), (status, "merge_delivery", merge)]


@bug()
def late_wait_after_read() -> Sequence[Replacement]:
    """
    A message that was read is waited for all the same, because nobody said that it was delivered.
    """
    words = {word.value for word in Engagement}

    def reached(delivery: Delivery, engagement: Mapping[str, int]) -> frozenset[str]:
        said = {delivery.value} if not engagement else set()
        return frozenset(said | (engagement.keys() & words))

    return [(waiting, "reached", reached), (builder_module, "reached", reached)]


@bug(seed=13)
def late_receipt_does_not_close() -> Sequence[Replacement]:
    """A step that was left behind reaches its person, and the cascade goes on."""
    return [(waiting, "close_late", lambda builder, run: None)]


@bug(seed=7)
def not_ended_at_its_deadline() -> Sequence[Replacement]:
    """A message that waits goes on waiting."""
    return [(decide, "expire", lambda builder, run: False)]


@bug(seed=322)
def resend_refused_leaves_the_step() -> Sequence[Replacement]:
    """A gate that forbids a second try ends a step that may have been sent."""

    def give_up(builder: Any, run: Any, reason: Reason, detail: str = "") -> None:
        builder.leave(run, reason, detail)

    return [(sending, "give_up", give_up), (decide, "give_up", give_up)]
