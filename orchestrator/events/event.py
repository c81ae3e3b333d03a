"""A valid event, taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core.values import Value


class Event(Value):
    """
    A valid CloudEvent, taken apart: ``attributes`` are its context attributes but for the data (id,
    source, type, subject, time as sent, extensions); ``time`` is UTC milliseconds, None where it
    has none; ``data`` is without ``recipient`` and ``recipients``, which stand in ``recipients``
    (at least one mapping with an ``id``). ``digest`` is a hash of the whole parsed event: two
    bodies that mean the same have the same.
    """

    id: str
    source: str
    type: str
    time: int | None
    attributes: Mapping[str, Any]
    data: Mapping[str, Any]
    recipients: Sequence[Mapping[str, Any]]
    digest: bytes
