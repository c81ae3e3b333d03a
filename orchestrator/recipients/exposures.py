"""
What a recipient's document knows of experiments and of messages that may still convert::

    "experiments": {name: [arm, at, succeeded]}     # the newest EXPERIMENTS_MAX
    "awaited": [[message, event type, until]]       # the newest AWAITED_MAX, for their time
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core.recipient import Instant
from orchestrator.recipients.document import Person

EXPERIMENTS_MAX = 50
AWAITED_MAX = 20
LATE_MS = 86_400_000
"""An event still counts if it comes so much later than the time in which it must happen."""


def arm_remembered(person: Person, experiment: str) -> str | None:
    """The arm that a person has met in an experiment."""
    row = person.document.get("experiments", {}).get(experiment)
    return str(row[0]) if row is not None else None


def remember_arm(person: Person, experiment: str, arm: str, at: Instant) -> None:
    """Keep the arm of a person; the experiments that were met longest ago are forgotten."""
    rows = dict(person.document.get("experiments", {}))
    rows[experiment] = [arm, at, False]
    newest = sorted(rows, key=lambda name: rows[name][1])[-EXPERIMENTS_MAX:]
    person.document["experiments"] = {name: row for name, row in rows.items() if name in newest}
    person.dirty = True


def note_success(person: Person, experiment: str, at: Instant, within_ms: int) -> str | None:
    """The arm that has reached with a person what it was for, if this is the first time."""
    rows = person.document.get("experiments", {})
    row = rows.get(experiment)
    if row is None or row[2] or not row[1] <= at <= row[1] + within_ms:
        return None
    person.document["experiments"] = {**rows, experiment: [row[0], row[1], True]}
    person.dirty = True
    return str(row[0])


def await_event(person: Person, message: str, type: str, until: Instant, now: Instant) -> None:
    """Look out for an event that a message may have led to, until a time."""
    rows = [row for row in person.document.get("awaited", ()) if row[2] + LATE_MS > now]
    earlier = [row[2] for row in rows if row[:2] == [message, type]]
    rows = [row for row in rows if row[:2] != [message, type]]
    person.document["awaited"] = [*rows, [message, type, max(until, *earlier, 0)]][-AWAITED_MAX:]
    person.dirty = True


def awaiting(
    document: Mapping[str, Any], type: str, at: Instant, now: Instant | None = None
) -> Iterator[str]:
    """
    The messages of a recipient that look out for an event of a type that happened at a time. Those
    whose time was over a day before ``now`` do not, whether or not they are still noted.
    """
    for message, wanted, until in document.get("awaited", ()):
        if wanted == type and at <= until and (now is None or now < until + LATE_MS):
            yield message
