"""
The JSON of a journey's run and of its history, and the replay of that history.

A history has one line a fact, appended and never rewritten. A line holds every answer that the
decision looked at (``Looked``), so that a replay asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.core.journey.decide import JourneyDecision, decide
from orchestrator.core.journey.effects import JourneyEffect
from orchestrator.core.journey.facts import Entered, JourneyFact, VersionMoved
from orchestrator.core.journey.inputs import Looked, RecordedInputs
from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Struct

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

decode_run: Callable[[bytes | str], JourneyRun] = msgspec.json.Decoder(JourneyRun).decode
"""The run that ``encode_run`` wrote."""

encode_run: Callable[[JourneyRun], bytes] = encode
"""A run's state as JSON."""


class JourneyEntry(Struct, kw_only=True, omit_defaults=True):
    """
    One line of a journey's history: the fact, what the decision looked at, what it said, the steps
    that it carried out, and its effects. ``version`` is the journey's, on the lines that set it.
    """

    at: Instant
    fact: JourneyFact
    version: str = ""
    looked: tuple[Looked, ...] = ()
    decision: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    effects: tuple[JourneyEffect, ...] = ()


decode_entry: Callable[[bytes], JourneyEntry] = msgspec.json.Decoder(JourneyEntry).decode


def encode_journey_entry(at: int, fact: JourneyFact, decision: JourneyDecision) -> bytes:
    """One line of a history, with its newline."""
    sets_version = isinstance(fact, Entered | VersionMoved)
    entry = JourneyEntry(
        at=at,
        fact=fact,
        version=decision.run.version if sets_version else "",
        looked=decision.looked,
        decision=decision.said,
        steps=decision.carried_out,
        effects=decision.effects,
    )
    return encode(entry) + b"\n"


def decode_journey_history(lines: bytes) -> list[JourneyEntry]:
    """The entries of a history."""
    return [decode_entry(line) for line in lines.splitlines()]


@dataclass(frozen=True, slots=True)
class JourneyMoment:
    """One fact of a history, decided again; ``before`` is the run before that fact."""

    entry: JourneyEntry
    before: JourneyRun
    journey: Journey
    decision: JourneyDecision


def unlived(run: JourneyRun, journey: Journey) -> JourneyRun:
    """The run as it was before its first fact, in the version that it began with."""
    return JourneyRun(
        id=run.id,
        journey=run.journey,
        version=journey.version,
        recipient=run.recipient,
        key=run.key,
        event_source=run.event_source,
        event_id=run.event_id,
        event_type=run.event_type,
        created_at=run.created_at,
        deadline_at=run.created_at + journey.deadline_ms,
        caused_by=run.caused_by,
        hops=run.hops,
        chain=run.chain,
    )


def journey_moments(
    find: Callable[[str], Journey], stored: JourneyRun, history: list[JourneyEntry]
) -> Iterator[JourneyMoment]:
    """
    Every fact of a history, decided again in order. ``find`` gives the journey of a version.

    Raises what ``find`` raises for a version that it lacks, ``LookupError`` if a decision now asks
    what it did not ask then, and ``ValueError`` if this release cannot have written the history.
    """
    run: JourneyRun | None = None
    for entry in history:
        if run is None:
            journey = find(entry.version or stored.version)
            run = unlived(stored, journey)
        elif isinstance(entry.fact, VersionMoved):
            journey = find(entry.fact.version)
        decision = decide(journey, run, RecordedInputs(entry.looked), entry.fact, entry.at)
        yield JourneyMoment(entry, run, journey, decision)
        run = decision.run
        if run.version != journey.version:  # a move that was void
            journey = find(run.version)


def replay_journey(
    find: Callable[[str], Journey], stored: JourneyRun, history: list[JourneyEntry]
) -> JourneyRun:
    """The state that a history leads to; raises as ``journey_moments`` does."""
    run = stored
    for moment in journey_moments(find, stored, history):
        run = moment.decision.run
    return run
