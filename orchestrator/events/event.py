"""The event that the rest of the program works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core.facts import IntakeWarning
from orchestrator.core.values import Value


class Event(Value):
    """
    A valid CloudEvent. ``attributes``: its context attributes without the data (id, source, type,
    subject, time as sent, extensions). ``time``: UTC milliseconds, None if absent. ``data``:
    without ``recipient`` and ``recipients``, which are in ``recipients`` (at least one mapping with
    an ``id``). ``not_before``: UTC milliseconds at which its messages start, None for at once.
    ``digest``: a hash of the parsed event, equal for bodies of equal meaning.
    ``warnings``: what it says of recipients and could not be used.
    """

    id: str
    source: str
    type: str
    time: int | None
    attributes: Mapping[str, Any]
    data: Mapping[str, Any]
    recipients: Sequence[Mapping[str, Any]]
    digest: bytes
    warnings: Sequence[IntakeWarning] = ()
    not_before: int | None = None
