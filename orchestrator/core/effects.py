"""
Effects: what the shell does once the decision is committed.

The backlog and the time to wake a message follow from its state; they are not effects.
"""

from __future__ import annotations

from orchestrator.core.recipient import Address, CapUsage
from orchestrator.core.values import Tagged


class Call(Tagged):
    """Make the provider call of attempt number ``attempt``, whose intent is committed by now."""

    attempt: int
    target: Address


class ReserveCap(Tagged):
    """Count this against the caps and gaps."""

    usage: CapUsage


class ReleaseCap(Tagged):
    """Take the usage of this step back: all of its attempts were refused or not sent."""

    step: int


class BounceRecorded(Tagged):
    """
    ``provider`` says that an address is dead on a channel. It is suppressed there after
    ``suppress_after`` of these on as many days.
    """

    hash: str
    channel: str
    provider: str
    code: str
    suppress_after: int


class RecordOptOut(Tagged):
    """
    The provider says that the recipient opted out on ``channel``, for ``classes`` (empty: all).
    """

    hash: str
    channel: str
    classes: tuple[str, ...]
    source: str


class ShutProvider(Tagged):
    """
    The provider refuses our configuration: open its breaker and alert the operator. An answer has
    done so when it came in; this does it for a receipt.
    """

    provider: str
    code: str
    detail: str


class EmitStatus(Tagged):
    """
    A status event: ``message.<status>`` or ``attempt.<state>`` (then ``attempt`` is its number).
    """

    what: str
    attempt: int | None = None


Effect = Call | ReserveCap | ReleaseCap | BounceRecorded | RecordOptOut | ShutProvider | EmitStatus
