"""
An event file: JSON Lines of structured CloudEvents, sorted by their times.

Every line is checked when the file is read, so a simulation that has started does not fail on one.
Only the lines stay in memory, because they are much smaller than parsed events.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.inside import is_inside
from orchestrator.core.journey.journey import Journey
from orchestrator.events.cloudevents import parse_structured
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed

PROBLEMS_MAX = 20


class BadEventFile(Exception):
    """The file cannot be used; the text says where, what and how to fix it."""


@dataclass(slots=True)
class EventFile:
    """
    ``lines`` are ``(time in UTC milliseconds, line)`` in order of time; ``types`` counts the event
    types; ``ids`` are ``source id`` of all events. ``latest_start`` is the last time for which one
    schedules its messages.
    """

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    latest_start: int = 0

    def add(self, at: int, line: bytes, event: Event) -> None:
        """Add a line with its time and what it was parsed to."""
        self.lines.append((at, line))
        self.types[event.type] += 1
        self.latest_start = max(self.latest_start, event.not_before or 0)
        self.ids.add(f"{event.source} {event.id}")

    @property
    def first(self) -> int:
        return self.lines[0][0]

    @property
    def last(self) -> int:
        return self.lines[-1][0]

    def may_start(self, journey: Journey) -> bool:
        """Whether an event of the file, or what happens inside, may start a journey."""
        return journey.enter.event in self.types or is_inside(journey.enter.event)

    def events(self) -> Iterator[tuple[int, Event]]:
        """The events with their times, parsed as they are needed."""
        for at, line in self.lines:
            yield at, parse_structured(line)


def read_event_file(name: str) -> EventFile:
    """
    The events of a file; ``-`` is standard input. Raises ``BadEventFile`` with the lines that are
    wrong.
    """
    problems: list[str] = []
    found = EventFile()
    for number, line in enumerate(lines_of(name), 1):
        text = line.strip()
        if not text:
            continue
        try:
            event = parse_structured(text)
        except Malformed as problem:
            problems.append(f"{shown(name)}:{number}: {problem}")
            continue
        if event.time is None:
            problems.append(
                f'{shown(name)}:{number}: the event has no time; write when it happened: "time":'
                ' "…Z"'
            )
            continue
        found.add(event.time, text, event)
    if problems:
        more = len(problems) - PROBLEMS_MAX
        rest = [f"… and {more} more like these"] if more > 0 else []
        raise BadEventFile("\n".join(problems[:PROBLEMS_MAX] + rest))
    if not found.lines:
        raise BadEventFile(f"{shown(name)}: there is no event in it; write one CloudEvent a line")
    found.lines.sort(key=lambda line: line[0])
    return found


def shown(name: str) -> str:
    return "standard input" if name == "-" else name


def lines_of(name: str) -> Iterator[bytes]:
    """The lines of a file or of standard input."""
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as error:
        raise BadEventFile(
            f"{name}: it cannot be read: {(error.strerror or 'no reason given').lower()}"
        ) from None
