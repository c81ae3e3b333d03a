"""
Outcomes: the immediate answer to a provider call.

    Outcome
    ├── Accepted   the provider took it
    ├── NotSent    provably nothing was taken; may be tried again
    ├── Refused    a definite no, with whose fault it is
    └── Unknown    it may have been sent, so it is never repeated blindly

Outcomes are values: the adapter says which one it is, the core decides what follows
(``core/cascade/answers.py`` has the table).

``personal`` marks a no that the recipient's own data may have caused (a subscription of another
key, a number in a country that is not enabled, a domain that blocks us). It decides nothing about
the provider, unless several different recipients get one without a success between
(``dispatch/suspicions.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from orchestrator.core.reasons import REFUSALS, Reason
from orchestrator.core.recipient import Instant
from orchestrator.core.values import Tagged, Value


class InboxItem(Value):
    """
    What a provider without anything outside leaves for the recipient: an item of their inbox, which
    the store keeps until ``expires_at``. ``content`` is what their page or app gets, as JSON types.
    """

    content: Mapping[str, Any]
    expires_at: Instant
    category: str = ""
    pinned: bool = False


class Accepted(Tagged):
    """
    The provider took the message.

    ``provider_id`` is the id that its receipts will name, None if it gives none. ``duplicate``: the
    provider says that it already had this very request. ``known_as``: kinds and values under which
    the provider knows the address that was written to. ``item`` is written in the transaction that
    records this answer. Histories leave both out.
    """

    provider_id: str | None = None
    duplicate: bool = False
    known_as: tuple[tuple[str, str], ...] = ()
    item: InboxItem | None = None


class NotSent(Tagged):
    """
    Provably nothing was taken.

    ``retry_after_ms`` is the pause that the provider asks for, counted from the answer; ``code``
    and ``detail`` are its own words.
    """

    reason: Reason
    retry_after_ms: int | None = None
    code: str | None = None
    detail: str = ""
    personal: bool = False


class Refused(Tagged):
    """
    A definite no. ``reason`` is one of the five ``REFUSED_…`` reasons:

    address (it is dead: suppress it), recipient (skip this channel), opted_out (record it), content
    (the template is wrong), configuration (our account is wrong: the provider is shut, the operator
    alerted).

    ``suppress_after`` such answers, on as many different days, suppress the address (1: at once;
    only for REFUSED_ADDRESS). ``classes`` narrows an opt-out to message classes (empty: all).
    """

    reason: Reason
    code: str | None = None
    detail: str = ""
    suppress_after: int = 1
    classes: tuple[str, ...] = ()
    personal: bool = False

    def __post_init__(self) -> None:
        if self.reason not in REFUSALS:
            raise ValueError(f"Refused takes a refused_… reason, not {self.reason!r}")


class Unknown(Tagged):
    """
    It may have been sent: a timeout after bytes left, a cut connection, an unexplained 5xx, an
    unreadable 2xx.
    """

    reason: Reason
    code: str | None = None
    detail: str = ""
    personal: bool = False


Outcome = Accepted | NotSent | Refused | Unknown


class OutcomeKind(StrEnum):
    """An attempt's ``outcome`` as the API shows it. PENDING is an intent that has no result yet."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def kind_of(outcome: Outcome) -> OutcomeKind:
    """The word for an outcome."""
    match outcome:
        case Accepted():
            return OutcomeKind.ACCEPTED
        case NotSent():
            return OutcomeKind.NOT_SENT
        case Refused():
            return OutcomeKind.REFUSED
        case Unknown():
            return OutcomeKind.UNKNOWN
