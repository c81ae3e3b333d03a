"""Bugs in journeys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.journey import effects
from orchestrator.core.values import replace
from orchestrator.engine import applying, emitting, journeys, loading
from orchestrator.engine.handlers import journeys as handlers
from orchestrator.engine.rules import Rules
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=23)
def journey_left_with_its_messages_under_way() -> Sequence[Replacement]:
    """An exit or a goal ends the run, and lets its messages leave."""
    original = handlers.carry_out

    def carry_out(context: Any, entry: Any, person: Any, journey: Any, decision: Any) -> Any:
        kept = [one for one in decision.effects if not isinstance(one, effects.EndMessages)]
        decision = replace(decision, effects=tuple(kept))
        yield from original(context, entry, person, journey, decision)

    return [(handlers, "carry_out", carry_out)]


@bug(seed=4)
def journey_hears_of_successes_alone() -> Sequence[Replacement]:
    """A journey hears only of messages that succeeded."""
    original = emitting.queue_end

    def queue_end(context: Any, before: Any, after: Any) -> None:
        if after.status == "succeeded":
            original(context, before, after)

    return [(applying, "queue_end", queue_end)]


@bug(seed=18)
def begun_keys_forgotten() -> Sequence[Replacement]:
    """A journey that a person may begin once begins again when it has ended."""
    original = journeys.may_enter

    def may_enter(context: Any, journey: Any, *rest: Any) -> bool:
        if journey.enter.again == "never":
            journey = replace(journey, enter=replace(journey.enter, again="after_end"))
        return original(context, journey, *rest)

    return [(journeys, "may_enter", may_enter)]


@bug(seed=23)
def goals_of_journeys_not_listened_to() -> Sequence[Replacement]:
    """Only what begins a journey concerns it."""
    return [(Rules, "is_for_journeys", lambda rules, type: type in rules.journeys_by_event)]


@bug(seed=13)
def ended_journey_asked_for_its_messages() -> Sequence[Replacement]:
    """A run that has ended asks for messages that were not loaded with it."""
    original = handlers.ask_for_journeys

    def ask_for_journeys(needs: Any, work: Any) -> None:
        original(needs, work)
        for entry in work.journeys:
            for id in entry.run.open:
                needs.message_addresses(work, id)

    return [(loading, "ask_for_journeys", ask_for_journeys)]
