"""What attempts and their receipts show, counted by provider and by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.channels import NotSent, Outcome, Reason, Refused, Unknown
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import REFUSALS
from orchestrator.core.status import FAILURES, reached
from orchestrator.simulate.behaviour import ChannelBehaviour, Lag, Share
from orchestrator.simulate.hours import Hours
from orchestrator.simulate.tendencies import Cell, Trials

QUANTILES = 101
STATES = ("delivered", "read", "clicked", "replied", "unsubscribed")
Span = tuple[int, int]
"""From what came before to what was reported then, both by our clock (UTC milliseconds)."""


@dataclass(slots=True)
class Seen:
    """Counts of one provider's attempts and receipts."""

    attempts: int = 0
    answers: Counter[tuple[OutcomeKind, Reason | None]] = field(default_factory=Counter)
    taken: int = 0
    states: Counter[str] = field(default_factory=Counter)
    spans: dict[str, list[Span]] = field(default_factory=dict)

    def take(self, attempt: Attempt) -> None:
        """
        Count one attempt and its receipts. Lags run to when a receipt came, by our clock as waits
        do, whatever time it stated.
        """
        self.attempts += 1
        if not attempt.took:
            self.answers[attempt.outcome, attempt.reason] += 1
            return
        if attempt.outcome is OutcomeKind.UNKNOWN:
            self.answers[attempt.outcome, attempt.reason] += 1
        self.taken += 1
        done = states_of(attempt)
        since = arrived = attempt.answered_at or attempt.intent_at
        for state in STATES:
            if state not in done:
                continue
            self.states[state] += 1
            at = arrival(attempt, state)
            if at is not None:
                before = arrived if state == "unsubscribed" else since
                self.spans.setdefault(state, []).append((before, max(before, at)))
                since = max(since, at)
            if state == "delivered":
                arrived = since
        if attempt.state in FAILURES and not attempt.engagement:
            self.states["failed"] += 1
            at = arrival(attempt, attempt.state.value)
            if at is not None:
                self.spans.setdefault("failed", []).append((since, max(since, at)))

    def add(self, other: Seen) -> None:
        """Count what another provider of the same channel did."""
        self.attempts += other.attempts
        self.answers += other.answers
        self.taken += other.taken
        self.states += other.states
        for state, spans in other.spans.items():
            self.spans.setdefault(state, []).extend(spans)

    def behaviour(self, hours: Hours) -> ChannelBehaviour:
        """The same as shares of all people together, and lags in waking time."""
        arrived = self.states["delivered"] or self.taken
        basis = self.states["read"] or arrived

        def share(state: str, of: int) -> Share | None:
            count = self.states[state]
            if not count or not of:
                return None
            waking = None if state == "failed" else hours
            return Share(count / of, lag_of(self.spans.get(state, [(0, 0)]), waking))

        return ChannelBehaviour(
            answers=tuple(
                (count / self.attempts, answer_of(*key)) for key, count in self.answers.items()
            ),
            delivered=share("delivered", self.taken),
            failed=share("failed", self.taken),
            read=share("read", arrived),
            clicked=share("clicked", basis),
            replied=share("replied", basis),
            unsubscribed=share("unsubscribed", arrived) or self._stops(arrived, hours),
        )

    def _stops(self, arrived: int, hours: Hours) -> Share | None:
        """Where nobody has said stop yet: half a person."""
        lags = self.spans.get("read") or self.spans.get("delivered")
        return Share(0.5 / (arrived + 1), lag_of(lags, hours)) if lags else None


def arrival(attempt: Attempt, state: str) -> int | None:
    """When a state was reported, by our clock."""
    return attempt.arrivals.get(state, attempt.times.get(state))


def states_of(attempt: Attempt) -> frozenset[str]:
    """The states that its receipts prove."""
    return reached(attempt.state, attempt.engagement) | attempt.engagement.keys()


def answer_of(kind: OutcomeKind, reason: Reason | None) -> Outcome:
    """An outcome that is no yes, as an adapter would give it."""
    if kind is OutcomeKind.REFUSED:
        return Refused(reason if reason in REFUSALS else Reason.REFUSED_RECIPIENT, "fitted")
    if kind is OutcomeKind.UNKNOWN:
        return Unknown(reason or Reason.CONNECTION_LOST)
    return NotSent(reason or Reason.NOT_TAKEN)


def lag_of(spans: Sequence[Span], hours: Hours | None) -> Lag:
    """
    Evenly spaced quantiles of how long spans took, the shortest and the longest included; of waking
    time where there are ``hours``.
    """
    lags = (hours.waking_ms(*span) if hours else span[1] - span[0] for span in spans)
    ordered = sorted(lags)
    if len(ordered) == 1:
        return Lag(quantiles=(float(ordered[0]),), hours=hours)
    places = [number * (len(ordered) - 1) / (QUANTILES - 1) for number in range(QUANTILES)]
    return Lag(quantiles=tuple(float(ordered[round(place)]) for place in places), hours=hours)


Counts = dict[str, dict[Cell, list[int]]]
"""By person and cell: how often each of ``COUNTED`` happened."""
COUNTED = ("answered", "refused", "taken", *STATES)


def count_person(counts: Counts, message: Message) -> None:
    """Count a message's attempts for its recipient."""
    for attempt in message.attempts:
        if attempt.outcome in (OutcomeKind.PENDING, OutcomeKind.NOT_SENT):
            continue
        cell = Cell(attempt.provider, message.policy, message.message_class, attempt.channel)
        row = counts.setdefault(message.recipient, {}).setdefault(cell, [0] * len(COUNTED))
        row[0] += 1
        if not attempt.took:
            row[1] += 1
            continue
        row[2] += 1
        done = states_of(attempt)
        for place, state in enumerate(STATES, 3):
            row[place] += state in done


def trials_of(tendency: str, counts: Counts, seen: Mapping[str, Seen]) -> Trials:
    """
    Everybody's trials of one tendency. What a provider never reports is no trial, and a state
    follows from the last one before it that is reported.
    """
    basis = {provider: basis_of(tendency, one.states) for provider, one in seen.items()}
    place = COUNTED.index(tendency)
    found: Trials = {}
    for person, cells in counts.items():
        for cell, row in cells.items():
            under = basis[cell.provider]
            if under is not None and (tried := row[COUNTED.index(under)]):
                found.setdefault(person, {})[cell] = (tried, row[place])
    return found


def basis_of(tendency: str, states: Mapping[str, int]) -> str | None:
    """What a tendency is counted of; None where nobody has shown it."""
    if tendency == "refused":
        return "answered"
    if not states.get(tendency) and tendency != "unsubscribed":
        return None  # what nobody was ever seen to do is not reported; but anybody may say stop
    before = {"delivered": (), "clicked": ("read", "delivered"), "replied": ("read", "delivered")}
    return next((one for one in before.get(tendency, ("delivered",)) if states.get(one)), "taken")
