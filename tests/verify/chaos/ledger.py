"""
The answers that backends got in a run, with their times: accepted events, and messages that must
not be sent any more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Published:
    """
    One event. ``messages`` are the ids that answers gave; Kafka gives none. ``by`` are the ways it
    came.
    """

    id: str
    policy: str
    recipient: str
    accepted_at: float
    messages: set[str] = field(default_factory=set)
    by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stop:
    """
    From ``at`` (UTC seconds, when the answer came) nothing starts: for a recipient, or for one
    event's message.
    """

    kind: str
    at: float
    recipient: str | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """
    What was said of a tour: it was asked about, left or bought. It was published at some time from
    ``first_at`` (the first try) to ``at`` (the answer), UTC seconds.
    """

    kind: str
    first_at: float
    at: float


@dataclass(slots=True)
class Tour:
    """
    One accepted start of a journey. ``journeys`` are the ids that answers gave, to this start and
    to later ones with the same key.
    """

    key: str
    recipient: str
    event: str
    journeys: set[str] = field(default_factory=set)
    said: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Trigger:
    """One accepted trigger of a digest; ``messages`` are the ids that answers gave."""

    number: int
    recipient: str
    topic: str
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """
    ``answers`` counts the answers of the API by status, 0 for none; ``wrong`` are answers that
    should never be.
    """

    events: dict[str, Published] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    tours: dict[str, Tour] = field(default_factory=dict)
    triggers: dict[int, Trigger] = field(default_factory=dict)
    repeats: int = 0
    lags: list[tuple[float, float]] = field(default_factory=list)
    """The time the stand-ins took to answer a trivial request: ``(at, seconds)``."""
    ready: list[tuple[float, int]] = field(default_factory=list)
    """The number of workers that reported ready: ``(at, workers)``, once in a while."""

    def document(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "events": [asdict(event) for event in self.events.values()],
            "stops": [asdict(stop) for stop in self.stops],
            "tours": [asdict(tour) for tour in self.tours.values()],
            "triggers": [asdict(trigger) for trigger in self.triggers.values()],
            "answers": dict(self.answers),
            "wrong": self.wrong,
            "repeats": self.repeats,
            "lags": self.lags,
            "ready": self.ready,
        }

    def took(
        self, id: str, policy: str, recipient: str, at: float, by: str, message: str | None = None
    ) -> None:
        """An event was accepted, once more or for the first time."""
        entry = self.events.setdefault(id, Published(id, policy, recipient, at))
        entry.by.append(by)
        if message is not None:
            entry.messages.add(message)
