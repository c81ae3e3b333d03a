"""
Velocity limits against SMS pumping: how many one-time codes went to a number, and to its
neighbours.

The times are kept in the store like what is kept of an address, under keyed hashes of the number
and of its prefix, so they hold for all processes and survive a restart.
"""

from __future__ import annotations

from orchestrator.core.recipient import Instant
from orchestrator.engine.rules import Limits
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.recipients.document import AddressHash

PREFIX_CUT = 3
KIND = "sms_otp"


class Velocity:
    """
    Sliding windows per number and per prefix (the number without its last three digits), within one
    batch.
    """

    def __init__(self, work: UnitOfWork, address_hash: AddressHash, limits: Limits) -> None:
        self._book = work
        self._hash = address_hash
        self._limits = limits

    def record(self, phone: str, now: Instant) -> None:
        """A code goes to this number."""
        for key, rule in self._rules(phone):
            if rule is not None:
                document = self._book.address_document(self._hash(KIND, key))
                kept = [at for at in document.get("otp_sent", ()) if at > now - rule[1]]
                document["otp_sent"] = [*kept, now]

    def too_fast(self, phone: str, now: Instant) -> bool:
        """Whether one more code would break a limit."""
        return any(
            rule is not None and self._count(key, rule[1], now) >= rule[0]
            for key, rule in self._rules(phone)
        )

    def _rules(self, phone: str) -> tuple[tuple[str, tuple[int, int] | None], ...]:
        return ((phone, self._limits.per_recipient), (prefix(phone), self._limits.per_prefix))

    def _count(self, key: str, window_ms: int, now: Instant) -> int:
        document = self._book.addresses.get(self._hash(KIND, key), {})
        return sum(at > now - window_ms for at in document.get("otp_sent", ()))


def velocity_hashes(phone: str, limits: Limits, address_hash: AddressHash) -> set[str]:
    """What must be loaded to judge a number."""
    keys = [phone] if limits.per_recipient is not None else []
    if limits.per_prefix is not None:
        keys.append(prefix(phone))
    return {address_hash(KIND, key) for key in keys}


def prefix(phone: str) -> str:
    """What a number shares with its neighbours."""
    return phone[:-PREFIX_CUT] + "…"
