"""
Three independent witnesses of a run.

The ledger is what the API and the broker answered to publishers, the record what the stand-ins took
and when, the messages what the API says of each.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.verify.chaos.faults import PAUSE, Happened, Journal
from tests.verify.chaos.ledger import Ledger

TAKEN = ("accepted", "unknown")
START_WITHIN_SECONDS = 1.0
"""A first byte that has not left so long after its intent never leaves."""
CLOCK_SLACK_SECONDS = 0.5
LAG_WINDOW_SECONDS = 5.0
NAMED = re.compile(r"m=(\S+) s=(\d+)")

Key = tuple[str, int]
"""A message and a step of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message that a stand-in took: which message and step it is stands in its own text."""

    message: str
    step: int
    provider: str
    address: str
    at: float

    @property
    def key(self) -> Key:
        return self.message, self.step


@dataclass(slots=True)
class Witnesses:
    """
    Everything that is known of a run.

    ``lag`` is how late the stand-ins' clock may have been around an instant; ``dark`` the seconds
    between two instants in which no process was ready at all.
    """

    ledger: Ledger
    records: list[Record]
    messages: dict[str, dict[str, Any]]
    journal: Journal
    lag: Callable[[float], float] = lambda at: 0.0
    dark: Callable[[float, float], float] = lambda since, until: 0.0
    by_event: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    by_recipient: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for message in self.messages.values():
            self.by_event.setdefault(message["event"]["id"], []).append(message)
            self.by_recipient.setdefault(message["recipient"], []).append(message)

    def woken(self, stopped_by: float, at: float) -> bool:
        """
        Whether a process that had been stopped before ``stopped_by`` was woken shortly before
        ``at``.
        """
        late = self.late_allowance(at)
        pauses = self.journal.of((PAUSE,))
        return any(
            one.at <= stopped_by and one.until - CLOCK_SLACK_SECONDS <= at <= one.until + late
            for one in pauses
        )

    def attempts(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every attempt with its message."""
        for message in self.messages.values():
            for attempt in message["attempts"]:
                yield message, attempt

    def taken(self) -> dict[Key, list[dict[str, Any]]]:
        """The attempts that were, or may have been, taken, by message and step."""
        found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        for message, attempt in self.attempts():
            if attempt["outcome"] in TAKEN:
                found[message["id"], attempt["step"]].append(attempt)
        return found

    def late_allowance(self, at: float) -> float:
        """The latest time after its intent at which a send may be recorded."""
        return START_WITHIN_SECONDS + CLOCK_SLACK_SECONDS + self.lag(at)


def witnesses(
    ledger: Ledger,
    accepted: Iterable[Mapping[str, Any]],
    messages: Iterable[dict[str, Any]],
    journal: Journal,
) -> Witnesses:
    """The witnesses of a run; ``accepted`` are the lines of the stand-ins' record."""
    records = []
    for line in accepted:
        named = NAMED.search(line["content"].get("text", ""))
        assert named is not None, f"the stand-in took something that names no message: {line}"
        records.append(
            Record(named[1], int(named[2]), line["provider"], line["address"], line["at"])
        )
    return Witnesses(
        ledger,
        records,
        {one["id"]: one for one in messages},
        journal,
        lag_of(ledger.lags),
        dark_of(ledger.ready),
    )


def lag_of(probes: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """The longest that a stand-in needed for a trifle around an instant."""
    by_second: dict[int, float] = defaultdict(float)
    for at, seconds in probes:
        for second in range(int(at), int(at + seconds) + 1):
            by_second[second] = max(by_second[second], seconds)

    def lag(at: float) -> float:
        window = range(int(at - LAG_WINDOW_SECONDS), int(at + LAG_WINDOW_SECONDS) + 1)
        return max((by_second.get(second, 0.0) for second in window), default=0.0)

    return lag


def dark_of(ready: Sequence[tuple[float, int]]) -> Callable[[float, float], float]:
    """
    The time without a ready worker between two instants: the time from each look that found nobody
    to the next look.
    """
    spells = [(at, later) for (at, count), (later, _) in itertools.pairwise(ready) if count == 0]

    def dark(since: float, until: float) -> float:
        return sum(max(0.0, min(end, until) - max(start, since)) for start, end in spells)

    return dark


def seconds(text: str | None) -> float:
    """An RFC 3339 time as UTC seconds."""
    assert text is not None
    return datetime.fromisoformat(text).timestamp()


def covered(faults: Iterable[Happened], since: float, until: float) -> bool:
    """Whether one of the faults was on at some time between two instants."""
    return any(fault.at <= until and (fault.until or fault.at) >= since for fault in faults)
