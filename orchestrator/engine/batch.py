"""The context that the handlers of one batch share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.cascade.decide import Decision
from orchestrator.core.facts import Fact
from orchestrator.core.journey.decide import JourneyDecision
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.core.quiet_hours import zone_or
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Value
from orchestrator.engine.rules import Evaluate, Rules
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.engine.velocity import Velocity
from orchestrator.recipients.document import AddressHash, Person

View = Callable[[Message, Mapping[str, Any]], Mapping[str, Any]]
"""A message and its event as the API shows them, without the trace."""


class Decided(Value):
    """
    One decision of a batch, for metrics and for those who act on it once it is committed; with the
    event, the person and the address documents as they were in its transaction.
    """

    before: Message | None
    fact: Fact
    decision: Decision
    event: Mapping[str, Any]
    person: Person
    addresses: Mapping[str, Mapping[str, Any]]
    at: Instant


Observe = Callable[[Sequence[Decided], Mapping[str, int]], None]
"""Gets the decisions of a batch, and how many conditions failed to evaluate, by policy."""


class InsideEvent(Value):
    """
    Something that a batch has decided and that a policy or a goal names. ``hops`` are those of the
    messages that it starts, ``caused_by`` is the message that it happened to, if any,
    ``chain`` the message or the event that all of this follows from,
    and ``trace`` that one's W3C trace context.
    """

    id: str
    type: str
    subject: str
    recipient: str
    data: Mapping[str, Any]
    caused_by: str | None
    hops: int
    chain: str
    trace: str | None = None


class QueuedFact(Value):
    """
    A fact for a run of a journey, which is decided in its turn. ``event`` is the one that the fact
    speaks of, if the run may need it later.
    """

    run: str
    fact: JourneyFact
    event: Mapping[str, Any] | None = None


class JourneyDecided(Value):
    """One decision about a journey, for metrics and timers once it is committed."""

    before: JourneyRun
    fact: JourneyFact
    decision: JourneyDecision
    at: Instant


@dataclass(slots=True)
class BatchContext:
    """All that the handlers of one batch may use."""

    work: UnitOfWork
    rules: Rules
    now: Instant
    policies: dict[tuple[str, str], Policy]
    """The policies of every message in the work, by name and version."""
    evaluate: Evaluate
    address_hash: AddressHash
    new_id: Callable[[], str]
    view: View
    shut: Mapping[str, Instant]
    """The providers whose breaker is open, and until when."""
    outages: tuple[str, ...]
    """The channels whose receipts have collapsed."""
    velocity: Velocity
    spent: dict[str, int]
    """What each channel has cost today, in millionths of the currency."""
    day: str
    day_ends: Instant
    started_at: float
    """The monotonic clock in seconds."""
    hours_of_all: list[int] = field(default_factory=list)
    """How often everybody has answered, by the hour of their day; [] if no policy asks."""
    exposures: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """By experiment and arm: how many people have met it, and with how many it has succeeded."""
    keeps_history: bool = True
    """Whether decisions are written down. A rehearsal looks at them and forgets them."""
    decided: list[Decided] = field(default_factory=list)
    condition_errors: Counter[str] = field(default_factory=Counter)
    """How many conditions could not be evaluated, by policy."""
    inside: deque[InsideEvent | QueuedFact] = field(default_factory=deque)
    """What the command under way has led to, and nothing has followed from yet."""

    journeys: Mapping[tuple[str, str], Journey] = field(default_factory=dict)
    """The current journeys and those of every run in the work, by name and version."""
    journeys_decided: list[JourneyDecided] = field(default_factory=list)

    def value(self, expression: str, scope: Mapping[str, Any], policy: str) -> Any:
        """The value of a policy's expression. Counts a ``ValueError`` and raises it."""
        try:
            return self.evaluate(expression, scope)
        except ValueError:
            self.condition_errors[policy] += 1
            raise

    def zone_of(self, person: Person) -> str:
        """The zone in which a person's times of day are read."""
        return zone_or(person.document.get("time_zone"), self.rules.governance.time_zone)

    def truth(self, expression: str, scope: Mapping[str, Any], policy: str) -> bool | None:
        """The value of a policy's condition; None, counted, if it cannot be evaluated."""
        try:
            return bool(self.value(expression, scope, policy))
        except ValueError:
            return None
