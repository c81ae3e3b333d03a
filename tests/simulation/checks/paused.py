"""
P4: nothing leaves while it is paused, and nothing is held by a pause that is over. A pause counts
from when the service had acknowledged it, and until somebody asked to end or to change it, or the
clock shows its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.message import Message
from orchestrator.core.reasons import Reason
from tests.simulation.checks.evidence import Evidence
from tests.simulation.truth import Deed, Moment


@dataclass(frozen=True, slots=True)
class Paused:
    """``since`` and ``before`` are orders of the ledger; ``until`` is what the clock shows (ms)."""

    kind: str
    name: str
    since: int
    before: float
    until: int

    def covers(self, message: Message, channel: str, provider: str) -> bool:
        names = {"policy": message.policy, "channel": channel, "provider": provider}
        return names[self.kind] == self.name

    def holds(self, moment: Moment) -> bool:
        return self.since < moment.order < self.before and moment.wall < self.until


def pauses(evidence: Evidence) -> list[Paused]:
    """Every pause of a run, for as long as it certainly held."""
    deeds = list(evidence.deeds("pause", "resume"))
    return [
        Paused(
            deed.what["kind"],
            deed.what["name"],
            deed.answered.order,
            min((tried_after(deed, other) for other in deeds), default=float("inf")),
            deed.what["until"],
        )
        for deed in deeds
        if deed.kind == "pause" and deed.answered is not None
    ]


def tried_after(pause: Deed, other: Deed) -> float:
    """When another deed may have ended or changed a pause (an order)."""
    same = (other.what["kind"], other.what["name"]) == (pause.what["kind"], pause.what["name"])
    if other is pause or not same or other.tried is None or pause.tried is None:
        return float("inf")
    if other.answered is not None and other.answered.order < pause.tried.order:
        return float("inf")
    return other.tried.order


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    found = pauses(evidence)
    for sent in evidence.sent if found else ():
        intent, attempt = sent.intent, sent.attempt
        if intent is None:
            continue
        for one in found:
            if evidence.ledger.jumps and one.until < intent.wall + YEAR_MS:
                continue  # the clock may have shown its end and been set back
            if one.covers(sent.message, attempt.channel, attempt.provider) and one.holds(intent):
                yield (
                    f"P4 {evidence.name(sent.message.id)} was sent by {attempt.provider} while the"
                    f" {one.kind} {one.name} was paused"
                )

    yield from held_for_nothing(evidence)


def held_for_nothing(evidence: Evidence) -> Iterator[str]:
    """A message that waited for a pause until its deadline had one to wait for."""
    ledger = evidence.ledger
    deeds = list(evidence.deeds("pause", "resume"))
    for message in evidence.messages.values():
        ended = evidence.ended.get(message.id)
        if message.reason is not Reason.PAUSED or ended is None or ledger.jumps:
            continue
        held_to = ended.at - GRACE_SECONDS
        late = any(end > held_to and start < ended.at for start, end in ledger.breaks)
        if not late and all(over_by(deed, deeds, held_to, evidence) for deed in deeds):
            yield f"P4 {evidence.name(message.id)} was held until its deadline by no pause"


def over_by(deed: Deed, deeds: list[Deed], at: float, evidence: Evidence) -> bool:
    """Whether a pause was over by then (virtual seconds), as the service had acknowledged."""
    if deed.kind == "resume" or deed.tried is None or deed.tried.at > at:
        return True
    thing = (deed.what["kind"], deed.what["name"])
    changed = [
        other
        for other in deeds
        if other is not deed
        and (other.what["kind"], other.what["name"]) == thing
        and other.answered is not None
        and other.answered.at < at
        and other.tried is not None
        and deed.answered is not None  # else nobody knows which came last
        and other.tried.order > deed.answered.order
    ]
    return bool(changed) or deed.what["until"] < evidence.run.options.start + at * 1000


GRACE_SECONDS = 120.0
"""How soon after its end a pause holds nothing more."""
YEAR_MS = 366 * 86_400_000
