"""What is wrong with the event types that policies and journeys name."""

from __future__ import annotations

import re

from orchestrator.configuration.reading import Report, clip
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.inside import PREFIX, TYPES, WHATS, is_inside

TYPE_FIX = "write the whole type of one event, such as shop.cart.abandoned"
OTHERWISE = "docs/status-events.md lists them"


def lint_event_type(node: Node | None, report: Report) -> None:
    """Report a type that matches nothing, or that only begins like that of an inside event."""
    if node is None or node.kind != "str":
        return
    type = node.value
    if re.search(r"\*|(^|\.)[#?](\.|$)", type):
        what = f"the event type {clip(type)!r} is a pattern, and types match as they are"
        report.error(node.position, what, TYPE_FIX)
    elif re.search(r"\s", type):
        what = f"the event type {clip(type)!r} has a blank, which no CloudEvents type has"
        report.error(node.position, what, f"write the CloudEvents type: {TYPE_FIX}")
    elif is_inside(type) and type not in TYPES:
        near = meant(type.removeprefix(PREFIX), WHATS)
        fix = f"did you mean {PREFIX + near!r}?" if near is not None else OTHERWISE
        report.error(node.position, f"nothing that happens inside is called {clip(type)!r}", fix)
