"""
Facts: everything that can happen to a run of a journey.

Each is handed to ``decide`` once, in the order in which the store commits them.

    Entered         an event started the journey
    WaitOver        the run asked to be woken at this time
    MessageEnded    a message that it sent has ended, or an end was corrected by a late receipt
    MessageReplied  the recipient answered a message that it sent
    EventCame       the event came that it waits for
    ExitCame        an event came that ends the journey
    GoalCame        the goal came
    ExitAsked       somebody ended it, by API or command
    PersonErased    the recipient was erased
    VersionMoved    it goes on in another version of the journey
"""

from __future__ import annotations

from orchestrator.core.recipient import Instant
from orchestrator.core.values import Tagged


class Entered(Tagged):
    """The first fact of a run."""


class WaitOver(Tagged):
    """``due_at`` is what the run had asked for; void if it asks for another time by now."""

    due_at: Instant


class MessageEnded(Tagged):
    """``status`` is that of the message, ``succeeded_by`` the channel if it succeeded."""

    message: str
    status: str
    succeeded_by: str | None = None


class MessageReplied(Tagged):
    """``choice`` is the id of what was chosen, None for free text or media."""

    message: str
    channel: str
    choice: str | None = None


class EventCame(Tagged):
    """
    The event ``source``, ``id`` matched the `until` at the path ``place``; void if the run does not
    wait there any more.
    """

    place: str
    source: str
    id: str


class ExitCame(Tagged):
    """An event (source, id, type) matched one of the exits."""

    source: str
    id: str
    type: str


class GoalCame(Tagged):
    """An event (source, id) matched the goal."""

    source: str
    id: str


class ExitAsked(Tagged):
    """``by`` is who asked for it, as the audit names them."""

    by: str = ""


class PersonErased(Tagged):
    """Everything of the recipient is erased in the same transaction."""


class VersionMoved(Tagged):
    """The journey that is handed to ``decide`` with this fact is this version of it."""

    version: str


JourneyFact = (
    Entered
    | WaitOver
    | MessageEnded
    | MessageReplied
    | EventCame
    | ExitCame
    | GoalCame
    | ExitAsked
    | PersonErased
    | VersionMoved
)
