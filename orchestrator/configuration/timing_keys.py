"""The keys of a policy that say when it is sent, each declared once."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.configuration.governance_file import DAY_MINUTES, window_of
from orchestrator.configuration.keys import Key, Kind, table
from orchestrator.configuration.kinds import (
    BOOLEAN,
    DURATION,
    EXPRESSION,
    TEXT_SCHEMA,
    scalar,
    whole,
)
from orchestrator.configuration.reading import Section
from orchestrator.configuration.scalars import Invalid, clip
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.digest import EVENTS_MAX
from orchestrator.core.policy import Digest, SendAt

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


def read_hours(section: Section, key: str, default: Any) -> Any:
    """``"10:00-20:00"``; a whole day is no limit."""
    window = section.value(key, default, window_of)
    if window is not None and window.end - window.start == DAY_MINUTES:
        section.error(key, f"`{key}` is the whole day", "remove it, or write the hours of the day")
        return default
    return window


HOURS_OF_DAY: Kind[Any] = Kind(
    "times of day", read_hours, TEXT_SCHEMA | {"pattern": "^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$"}
)


def make_send_at(section: Section, values: dict[str, Any]) -> SendAt | None:
    """Hours, the best hour, or both."""
    if values["between"] is None and not values["best_hour"]:
        fix = 'write the hours, between: "10:00-20:00", or best_hour: true'
        section.report.error(section.position, "`send_at` says no hour", fix)
        return None
    if section.has("within") and not values["best_hour"]:
        fix = "remove it, or write best_hour: true"
        section.error("within", "`within` says how long the best hour is waited for", fix)
        return None
    return SendAt(**values)


SEND_AT = table(
    SendAt,
    Key("between", HOURS_OF_DAY, "The hours in which it starts, by the recipient's clock."),
    Key("best_hour", BOOLEAN, "It starts at the hour at which the recipient answers most."),
    Key("within", DURATION, "How long the best hour is waited for, at most."),
    make=make_send_at,
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
