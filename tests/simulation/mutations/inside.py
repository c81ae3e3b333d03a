"""Bugs in what follows from what happens inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.cascade import decide
from orchestrator.engine import emitting, loading
from orchestrator.engine.handlers import inside
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=313)
def only_the_first_inside_event_followed() -> Sequence[Replacement]:
    """What a command leads to beyond its first inside event is let go."""
    original = inside.follow_all

    def follow_all(context: Any) -> Any:
        first, *_ = context.inside
        context.inside.clear()
        context.inside.append(first)
        yield from original(context)

    return [(loading, "follow_all", follow_all)]


@bug(seed=387)
def chain_cut_too_late() -> Sequence[Replacement]:
    """Messages that start each other go on for some hops more."""
    return [(decide, "HOPS_MAX", 12), (emitting, "HOPS_MAX", 12)]


@bug(seed=715)
def corrected_success_starts_another() -> Sequence[Replacement]:
    """A success that is emitted once more, because a failure came after it, is followed again."""
    happen = emitting.happen

    def anew(context: Any, id: str, *rest: Any) -> None:
        happen(context, f"{id}/{context.new_id()}", *rest)

    return [(emitting, "leads_on", lambda entry, effect: True), (emitting, "happen", anew)]
