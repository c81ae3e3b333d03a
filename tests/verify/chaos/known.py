"""
Everything that is known of what lasts in a run: of journeys, digests and an experiment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.verify.chaos.ledger import Said, Tour
from tests.verify.chaos.stored import Stored
from tests.verify.chaos.witnesses import Witnesses

ALREADY_WRITTEN_SECONDS = 0.002
"""Times are cut to a millisecond."""


@dataclass(slots=True)
class Known:
    """
    Everything that is known of what lasts: ``seen`` are the witnesses of messages, ``lines`` the
    stand-ins' record, ``runs`` the journeys as the API lists them, ``stored`` the store's rows.
    ``ends`` are the ends that status events reported, by journey; None where there is no sink.
    """

    seen: Witnesses
    lines: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    stored: Stored
    ends: Mapping[str, set[str]] | None = None
    sent: dict[str, list[str]] = field(default_factory=dict)
    """The messages of each journey in the store, the oldest first."""

    def __post_init__(self) -> None:
        for id, message in sorted(self.stored.messages.items()):
            if message.get("journey"):
                self.sent.setdefault(message["journey"], []).append(id)

    @property
    def tours(self) -> dict[tuple[str, str], Tour]:
        """The accepted starts by recipient and key."""
        return {(one.recipient, one.key): one for one in self.seen.ledger.tours.values()}

    def steps(self, run: str) -> list[str]:
        """The steps that a journey's history says were carried out."""
        row = self.stored.journeys.get(run, {"lines": ()})
        return [step for line in row["lines"] for step in line.get("steps", ())]

    def effects(self, run: str, kind: str) -> list[dict[str, Any]]:
        row = self.stored.journeys.get(run, {"lines": ()})
        return [
            effect
            for line in row["lines"]
            for effect in line.get("effects", ())
            if effect["kind"] == kind
        ]

    def at_step(self, run: str, step: str) -> float | None:
        """When a step was carried out, UTC seconds."""
        for line in self.stored.journeys.get(run, {"lines": ()})["lines"]:
            if step in line.get("steps", ()):
                return float(line["at"]) / 1000
        return None

    def of_policy(self, name: str) -> dict[str, dict[str, Any]]:
        return {id: one for id, one in self.stored.messages.items() if one["policy"] == name}

    def said(self, run: str) -> list[Said]:
        """What was said of the tour that a journey is."""
        row = self.stored.journeys.get(run, {"recipient": "", "key": ""})
        tour = self.tours.get((row["recipient"], row["key"]))
        return tour.said if tour is not None else []

    def texts(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
        """What the texts that were taken say of something, with their messages."""
        for line in self.lines:
            text = line["content"]["text"]
            if (found := pattern.search(text)) is not None:
                yield text.split()[0].removeprefix("m="), found[1]
