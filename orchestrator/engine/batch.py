"""The context that the handlers of one batch share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.cascade.decide import Decision
from orchestrator.core.facts import Fact
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
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


@dataclass(slots=True)
class BatchContext:
    """All that the handlers of one batch may use."""

    work: UnitOfWork
    rules: Rules
    now: Instant
    policies: Mapping[tuple[str, str], Policy]
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
    keeps_history: bool = True
    """Whether decisions are written down. A rehearsal looks at them and forgets them."""
    decided: list[Decided] = field(default_factory=list)
    condition_errors: int = 0

    def value(self, expression: str, scope: Mapping[str, Any]) -> Any:
        """The value of an expression. Counts a ``ValueError`` and raises it."""
        try:
            return self.evaluate(expression, scope)
        except ValueError:
            self.condition_errors += 1
            raise

    def truth(self, expression: str, scope: Mapping[str, Any]) -> bool | None:
        """The value of a condition; None, counted, if it cannot be evaluated."""
        try:
            return bool(self.value(expression, scope))
        except ValueError:
            return None
