"""Events of a test, made as the intake makes them, with its faults as problems of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.configuration.reading import Section
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.inside import SOURCE, is_inside
from orchestrator.events.cloudevents import NOT_BEFORE, read_event
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.primitives.durations import rfc3339


def make_event(
    id: str,
    type: str,
    at: int,
    data: Mapping[str, Any],
    recipient: Mapping[str, Any],
    place: Section,
    not_before: int | None = None,
) -> Event | None:
    """
    An event of ``at`` as the intake would make it; its message starts at ``not_before`` (both UTC
    milliseconds). What the intake refuses, and what it leaves out with a warning, is reported at
    the nearest place that the test has written.
    """
    try:
        event = read_event(
            {
                "specversion": "1.0",
                "id": id,
                "source": SOURCE if is_inside(type) else "test",
                "type": type,
                "time": rfc3339(at),
                NOT_BEFORE: None if not_before is None else rfc3339(not_before),
                "data": {**data, "recipient": dict(recipient)},
            }
        )
    except Malformed as problem:
        what, _, fix = problem.what.rpartition("; ")
        report(problem.field, what, fix, place)
        return None
    for one in event.warnings:
        report(one.field, one.what, one.fix, place)
    return event


def report(field: str, what: str, fix: str, place: Section) -> None:
    path = field.removeprefix("data.").replace("[", ".").replace("]", "").split(".")
    node = place.nodes.get(path[0])
    position = node.position if node is not None else place.position
    for part in path[1:]:
        node = below(node, part)
        position = node.position if node is not None else position
    place.report.error(position, f"`{'.'.join(path)}` is not right: {what}", fix)


def below(node: Node | None, part: str) -> Node | None:
    """The child of a node by key or position."""
    if node is None:
        return None
    found: Node | None = None
    if node.kind == "map":
        found = node.value.get(part)
    elif node.kind == "list" and part.isdecimal() and int(part) < len(node.value):
        found = node.value[int(part)]
    return found
