"""
What is known of a recipient, as far as decisions need it.

Times are UTC milliseconds since 1970 everywhere in the core (``Instant``); durations are
milliseconds and end in ``_ms``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestrator.core.values import Value, field

Instant = int
ConsentState = Literal["in", "out"]


class Address(Value, omit_defaults=True):
    """
    One way to reach a recipient.

    ``kind`` is named as the recipient's field; ``value`` is the phone (E.164), mail address,
    provider's user id or push endpoint, "" in a history; ``hash`` the keyed hash under which
    suppressions and opt-outs are stored, shared by everyone who has this address; ``keys`` what a
    push subscription needs besides (``p256dh``, ``auth``, ``vapid_key_id``); ``country`` the ISO
    3166 code of a phone, "" if unknown; ``shown`` the masked value for people, "" if the kind has
    no form that people would recognise.
    """

    kind: str
    value: str
    hash: str
    keys: tuple[tuple[str, str], ...] = ()
    country: str = ""
    shown: str = ""

    def masked(self) -> str:
        """Enough for people to recognise it, too little to use it."""
        return self.shown or f"{self.kind}:{self.hash[:8]}"


class Suppression(Value):
    """An address that is not used: ``provider`` reported it dead at ``at``, with ``detail``."""

    reason: str
    provider: str
    at: Instant
    detail: str = ""


class Consent(Value):
    """
    One entry of a consent history. ``*`` stands for every channel or topic.

    ``classes`` narrows an entry to message classes (a provider's "no marketing" says nothing of
    receipts); empty: all. ``repeated_at`` is when the same was said last, 0 if it was said once.
    """

    channel: str
    topic: str
    state: ConsentState
    at: Instant
    source: str = ""
    classes: tuple[str, ...] = ()
    repeated_at: Instant = 0

    @property
    def said_at(self) -> Instant:
        """When this was said last."""
        return max(self.at, self.repeated_at)


class CapUsage(Value):
    """
    One thing that caps and gaps count.

    ``step`` is the position of the step in the message's plan. Rules without ``channels`` count the
    ``first`` usage of a message, rules with them every usage on their channels.
    """

    message: str
    message_class: str
    channel: str
    step: int
    at: Instant
    first: bool


class AddressState(Value):
    """
    What is stored per address, independent of its owner: opt-outs, suppressions by channel (a
    phone without Viber still takes SMS), and the end of the session on each channel that its owner
    has opened by writing to us.
    """

    hash: str
    consents: tuple[Consent, ...] = ()
    suppressions: Mapping[str, Suppression] = field(default_factory=dict)
    sessions: Mapping[str, Instant] = field(default_factory=dict)
