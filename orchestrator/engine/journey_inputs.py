"""What the decision about a journey looks at: the engine's answers, as of its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.core.journey.journey import event_of
from orchestrator.core.journey.state import JourneyRun
from orchestrator.engine.applying import scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.unit_of_work import WorkingJourney
from orchestrator.primitives.shares import share_of
from orchestrator.recipients.document import Person


class EngineJourneyInputs:
    """Implements ``JourneyInputs`` for one run within a batch."""

    def __init__(self, context: BatchContext, entry: WorkingJourney, person: Person) -> None:
        self._context = context
        self._entry = entry
        self._person = person

    def zone(self) -> str:
        return self._context.zone_of(self._person)

    def value(self, expression: str, run: JourneyRun, changed: Mapping[str, Any]) -> Any:
        scope = journey_scope(self._context, self._entry, self._person, run)
        scope["recipient"] = {**scope["recipient"], **changed}
        value = self._context.value(expression, scope, run.journey)
        try:
            return orjson.loads(orjson.dumps(value))  # as a replay will read it
        except TypeError:
            raise ValueError("its value is no JSON") from None

    def share(self, of: str) -> float:
        return share_of(self._context.address_hash("split", f"{self._person.id} {of}"))

    def message_id(self, policy: str) -> str | None:
        return self._context.new_id() if policy in self._context.rules.policies else None


def journey_scope(
    context: BatchContext, entry: WorkingJourney, person: Person, run: JourneyRun
) -> dict[str, Any]:
    """
    The names that the expressions of a journey may use at the place of ``run``: ``event`` is the
    one that led there, ``journey.event`` the one that the journey began with.
    """
    document = event_at(entry, run.place)
    return {
        **scope_of(document, person, None, context.now),
        "journey": journey_view(entry),
        "last": run.last.view() if run.last is not None else None,
    }


def journey_view(entry: WorkingJourney) -> dict[str, Any]:
    """The ``journey`` of expressions."""
    run = entry.run
    began = entry.events.get("", {})
    return {"id": run.id, "name": run.journey, "key": run.key, "event": began.get("data", {})}


def event_at(entry: WorkingJourney, place: str) -> Mapping[str, Any]:
    """The event (``{"ce": …, "data": …}``) that ``event`` means at a place of a run."""
    found = entry.events.get(event_of(place) or "") or entry.events.get("")
    return found or {"ce": {}, "data": {}}
