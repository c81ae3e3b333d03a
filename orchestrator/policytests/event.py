"""Events of a test, made as the intake makes them, with its refusals as problems of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.configuration.reading import Report, Section
from orchestrator.configuration.yaml_file import Node
from orchestrator.events.cloudevents import read_event
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.primitives.durations import rfc3339


def make_event(
    id: str, type: str, at: int, data: Mapping[str, Any], recipient: Mapping[str, Any]
) -> Event:
    """An event of ``at`` (UTC milliseconds) as the intake would make it. Raises ``Malformed``."""
    return read_event(
        {
            "specversion": "1.0",
            "id": id,
            "source": "test",
            "type": type,
            "time": rfc3339(at),
            "data": {**data, "recipient": dict(recipient)},
        }
    )


def report_malformed(problem: Malformed, section: Section, report: Report) -> None:
    """Report what the intake would refuse, at the nearest place that the test has written."""
    path = problem.field.removeprefix("data.").replace("[", ".").replace("]", "").split(".")
    node = section.nodes.get(path[0])
    position = node.position if node is not None else section.position
    for part in path[1:]:
        node = below(node, part)
        position = node.position if node is not None else position
    what, _, fix = problem.what.rpartition("; ")
    report.error(position, f"`{'.'.join(path)}` is not right: {what}", fix)


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
