"""
Effects: what the shell does once the decision is committed, in their order, in its transaction.

The time to wake a run follows from its state; it is no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.reasons import Reason
from orchestrator.core.values import Tagged


class StartMessage(Tagged):
    """
    Start a message of ``policy`` under the id ``message``, for the step ``step`` (see
    ``JourneyRun.step``); the message's ``hops`` are the run's. Its end comes back as
    ``MessageEnded``.
    """

    message: str
    policy: str
    step: str


class EndMessages(Tagged):
    """Cancel these messages, as far as they have not ended: the journey is over."""

    messages: tuple[str, ...]
    reason: Reason


class SetAttributes(Tagged):
    """Set attributes of the recipient; None removes one."""

    values: Mapping[str, Any]


class PublishEvent(Tagged):
    """Publish an event about the recipient; ``step`` makes its id unique within the run."""

    type: str
    data: Mapping[str, Any]
    step: str


class EmitJourneyStatus(Tagged):
    """A status event: ``what`` is ``journey.<status>``."""

    what: str


JourneyEffect = StartMessage | EndMessages | SetAttributes | PublishEvent | EmitJourneyStatus
