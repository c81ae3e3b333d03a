"""
What a decision about a journey may look at besides the run and the fact.

Which expressions are evaluated depends on the way that the run goes, so the engine is asked for
each one as it is needed. Every answer is recorded in its order (``Looked``) and stored with the
fact; ``RecordedInputs`` gives the same answers again, so a history can be replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.values import Value


class JourneyInputs(Protocol):
    """The engine's answers, as things are in the decision's own transaction."""

    def zone(self) -> str:
        """The recipient's time zone (IANA), else the installation's."""

    def value(self, expression: str, run: JourneyRun, changed: Mapping[str, Any]) -> Any:
        """
        The value of an expression at the place of ``run`` (``event_of`` says what ``event`` is,
        ``run.last`` what ``last`` is). ``changed`` are attributes that this very decision has set.
        Only JSON types. Raises ``ValueError`` where it cannot be evaluated.
        """

    def share(self, of: str) -> float:
        """
        A number in [0, 1) from a keyed hash of the recipient and this name, the same in every
        process.
        """

    def message_id(self, policy: str) -> str | None:
        """The id for a new message of a policy; None if no such policy is configured."""


class Looked(Value, omit_defaults=True):
    """One answer: to what question, about what, and what it was (``failed``: the error)."""

    what: Literal["zone", "value", "share", "message_id"]
    of: str = ""
    answer: Any = None
    failed: str = ""


class RecordingInputs:
    """Asks the engine and records each answer."""

    def __init__(self, inputs: JourneyInputs) -> None:
        self._inputs = inputs
        self.looked: list[Looked] = []

    def zone(self) -> str:
        zone = self._inputs.zone()
        self.looked.append(Looked("zone", "", zone))
        return zone

    def value(self, expression: str, run: JourneyRun, changed: Mapping[str, Any]) -> Any:
        try:
            value = self._inputs.value(expression, run, changed)
        except ValueError as error:
            self.looked.append(Looked("value", expression, None, str(error) or "failed"))
            raise
        self.looked.append(Looked("value", expression, value))
        return value

    def share(self, of: str) -> float:
        share = self._inputs.share(of)
        self.looked.append(Looked("share", of, share))
        return share

    def message_id(self, policy: str) -> str | None:
        id = self._inputs.message_id(policy)
        self.looked.append(Looked("message_id", policy, id))
        return id


class RecordedInputs:
    """
    Gives recorded answers again, in their order. Raises ``LookupError`` for a question that was not
    asked then: the decision is another one.
    """

    def __init__(self, looked: Iterable[Looked]) -> None:
        self._looked = iter(looked)

    def _answer(self, what: str, of: str = "") -> Looked:
        found = next(self._looked, None)
        if found is None or (found.what, found.of) != (what, of):
            raise LookupError(f"{what} {of!r} was not asked for when this was decided")
        return found

    def zone(self) -> str:
        return str(self._answer("zone").answer)

    def value(self, expression: str, run: JourneyRun, changed: Mapping[str, Any]) -> Any:
        found = self._answer("value", expression)
        if found.failed:
            raise ValueError(found.failed)
        return found.answer

    def share(self, of: str) -> float:
        return float(self._answer("share", of).answer)

    def message_id(self, policy: str) -> str | None:
        id: str | None = self._answer("message_id", policy).answer
        return id
