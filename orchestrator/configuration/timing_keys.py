"""The keys of a policy that say when it is sent, each declared once."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.configuration.keys import Key, table
from orchestrator.configuration.kinds import DURATION, EXPRESSION, TEXT_SCHEMA, scalar, whole
from orchestrator.configuration.reading import Section
from orchestrator.configuration.scalars import Invalid, clip
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.digest import EVENTS_MAX
from orchestrator.core.policy import Digest

TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
TIME_FIX = 'write it in quotes as "18:00"'


def time_of(node: Node, called: str) -> int:
    """``"18:00"`` as minutes from midnight."""
    match = TIME.fullmatch(node.text) if node.kind == "str" else None
    if match is None:
        shown = f"{clip(node.text)!r} " if node.text else ""
        raise Invalid(f"{called} {shown}is no time of day", TIME_FIX)
    return int(match[1]) * 60 + int(match[2])


TIME_OF_DAY = scalar(
    "time of day",
    time_of,
    TEXT_SCHEMA | {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
    lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}",
)


def make_digest(section: Section, values: dict[str, Any]) -> Digest | None:
    """A digest with a window or a time of day."""
    window, at = section.get("window"), section.get("at")
    if window is not None and at is not None:
        section.error("at", "the digest has `window` and `at`", "keep one of them")
        return None
    if window is None and at is None:
        section.need("window", 'say how long it gathers: window: 1h, or until: at: "18:00"')
        return None
    return Digest(**values)


DIGEST = table(
    Digest,
    Key(
        "key",
        EXPRESSION,
        "What belongs into one message.",
        otherwise="everything of the policy",
    ),
    Key("window", DURATION, "How long it gathers, from the first event on."),
    Key("at", TIME_OF_DAY, "Until when it gathers instead, by the recipient's clock."),
    Key("max", whole(2, EVENTS_MAX), "The most events it keeps; those beyond are counted."),
    make=make_digest,
)
