"""The keys of a journey, each declared once; those of its steps are in ``journey_steps``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.configuration.journey_steps import STEP_REFERENCE, read_steps, step_keys
from orchestrator.configuration.keys import Key, Kind, Table, array, listing, nested, table
from orchestrator.configuration.kinds import DURATION, EXPRESSION, NAME, TEXT, word
from orchestrator.configuration.reading import Section
from orchestrator.core.journey.journey import (
    AGAIN,
    ARCHETYPES,
    STAGES,
    Entrance,
    Journey,
    JourneyEnd,
    JourneyStep,
)

ENTRANCE = table(
    Entrance,
    Key("event", TEXT, "The CloudEvents type.", need="name the event that starts it: event: …"),
    Key("when", EXPRESSION, "A condition on the event."),
    Key("key", EXPRESSION, "What tells two journeys of one person apart.", otherwise="nothing"),
    Key("again", word(*AGAIN), "Whether a person may enter again."),
)
JOURNEY_END = table(
    JourneyEnd,
    Key("event", TEXT, "The CloudEvents type.", need="name the event: event: shop.order.placed"),
    Key("match", EXPRESSION, "A condition on it."),
)


def read_first_steps(section: Section, key: str, default: Any) -> tuple[JourneyStep, ...]:
    """The steps of a journey, at least one."""
    node = section.get(key)
    if node is not None and node.kind == "list" and not node.value:
        section.error(key, "the journey has no steps", "write at least one: - send: welcome")
    return read_steps(section, key, default)


JOURNEY: Table[Journey] = table(
    Journey,
    Key("journey", NAME, "Its name.", need="name it: journey: trek_running", field="name"),
    Key("archetype", word(*ARCHETYPES), "What kind of journey it is, for reports."),
    Key("stage", word(*STAGES), "The stage of the customer's way, for reports.", ""),
    Key("enter", nested(ENTRANCE), "What starts it.", need="say what starts it: enter: {event: …}"),
    Key("exit", listing(JOURNEY_END, "events", "the exit"), "What ends it.", (), field="exits"),
    Key("goal", nested(JOURNEY_END), "What ends it as reached."),
    Key("deadline", DURATION, "How long after its start anything is done."),
    Key(
        "steps",
        Kind(
            "list of steps",
            read_first_steps,
            array(STEP_REFERENCE, 1),
            table=step_keys(),
            path="[].",
        ),
        "What is done.",
        (),
        need="write at least one: steps: [{send: welcome}]",
    ),
    make=lambda section, values: make_journey(values),
)
DEFINITIONS: Mapping[str, Any] = {"step": step_keys}
"""What the schema of a journey refers to, because steps stand within steps."""


def make_journey(values: dict[str, Any]) -> Journey:
    """The journey without its version; what is wrong has been reported and has a default."""
    name = values.pop("name") or "unnamed"
    enter = values.pop("enter") or Entrance("")
    return Journey(name=name, version="", enter=enter, **values)
