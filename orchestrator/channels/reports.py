"""What an adapter says of messages and people: the reports in its provider's webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from orchestrator.channels.wire import named
from orchestrator.core.outcomes import Refused
from orchestrator.core.status import Delivery, Engagement


@named
class Receipt:
    """
    What became of one attempt.

    It is found by ``client_reference`` where the provider echoes ours, else by ``provider_id``.
    ``state`` is a ``Delivery`` or an ``Engagement``; ``at`` UTC seconds of the event, None if
    the provider does not say. ``failure`` says why, for a failed state. ``known_as``: kinds and
    values under which the provider knows the address. ``repeated`` deliveries of the same receipt
    are harmless.
    """

    state: Delivery | Engagement
    provider_id: str | None = None
    client_reference: str | None = None
    at: float | None = None
    failure: Refused | None = None
    detail: str = ""
    known_as: tuple[tuple[str, str], ...] = ()


MediaKind = Literal["image", "video", "audio", "file"]
REFERENCE_CHARS_MAX = 1_500
"""Of what a provider knows a medium by."""


@named
class InboundMedia:
    """
    A picture, a file or a voice message that the recipient has sent. ``reference`` is what
    ``Adapter.media`` finds it by later: the provider's URL or id, at most 1 500 characters.
    ``bytes`` is its size, None if the provider does not say.
    """

    kind: MediaKind
    reference: str
    bytes: int | None = None


@named
class Inbound:
    """
    The recipient wrote to us. ``kind`` and ``value`` say from which address; both are "" where a
    signed token of ours stands in ``answers``, as in the reports of devices. ``answers`` are our
    client references or the provider's ids of the message they answered, the likeliest first;
    ``clicked``: they pressed a button of it. ``keyword`` is the provider's own reading of an
    opt-out word (``stop`` or ``start``), None if it has none: the words are read elsewhere.
    ``choice`` is what the provider brings back of the button that they pressed: the id that
    ``Outgoing.choices`` gave it. ``media`` are what they have sent besides the text.
    """

    kind: str
    value: str
    text: str
    id: str = ""
    answers: tuple[str, ...] = ()
    clicked: bool = False
    keyword: str | None = None
    at: float | None = None
    choice: str | None = None
    media: tuple[InboundMedia, ...] = ()


@named
class Preference:
    """
    The provider says that this address opted ``out`` or ``in``, on its channel, for ``classes``
    (empty: all).
    """

    kind: str
    value: str
    state: Literal["in", "out"]
    classes: tuple[str, ...] = ()
    source: str = "provider"
    at: float | None = None


@named
class Linked:
    """
    The person followed a link that ``link`` made of ``token``: the address ``kind``, ``value`` is
    theirs.
    """

    kind: str
    value: str
    token: str
    at: float | None = None


Report = Receipt | Inbound | Preference | Linked
"""What a webhook can say."""

Record = Callable[[Sequence[Report]], Awaitable[None]]
"""Makes reports durable. Raises if it could not."""


async def unrecorded(reports: Sequence[Report]) -> None:
    """Stands in until somebody takes reports."""
    raise RuntimeError("nobody takes reports of this adapter")
