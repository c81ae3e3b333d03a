"""
Inside events: what happens to a message or a person, as an event that policies and goals may name.

Their types are those of the status events. A message that one of them started knows which message
that was (``Message.caused_by``), with which one its chain began (``chain``), and how many have
started each other before it (``hops``).
"""

from __future__ import annotations

from orchestrator.core.journey.state import JourneyStatus
from orchestrator.core.message import Status
from orchestrator.core.status import Delivery, Engagement

PREFIX = "kaskad."
"""Types that begin so are ours: nobody else may publish them."""
SOURCE = "kaskad"
OPT_OUT = "opt_out"
REPLY = "reply"
ATTEMPT_STATES = ("not_sent", "unknown", *Delivery, *Engagement)
WHATS = (
    *(f"message.{status}" for status in Status),
    *(f"attempt.{state}" for state in ATTEMPT_STATES),
    *(f"journey.{status}" for status in JourneyStatus),
    OPT_OUT,
    REPLY,
)
"""Every type without its prefix."""
TYPES = tuple(PREFIX + what for what in WHATS)


def is_inside(type: str) -> bool:
    """Whether an event of this type happens inside."""
    return type.startswith(PREFIX)
