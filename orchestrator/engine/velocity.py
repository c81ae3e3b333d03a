"""
Velocity limits against SMS pumping: how many OTPs went to a number, and to its neighbours.

The times are stored in address documents, under keyed hashes of the number and of its prefix, so
the limits hold across processes and restarts.
"""

from __future__ import annotations

from collections.abc import Iterator

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
        self._work = work
        self._hash = address_hash
        self._limits = limits

    def record(self, phone: str, now: Instant) -> None:
        """An OTP goes to this number."""
        for hash, _, window_ms in windows(phone, self._limits, self._hash):
            document = self._work.address_document(hash)
            kept = [at for at in document.get("otp_sent", ()) if at > now - window_ms]
            document["otp_sent"] = [*kept, now]

    def too_fast(self, phone: str, now: Instant) -> bool:
        """Whether one more OTP would break a limit."""
        return any(
            self._count(hash, now - window_ms) >= count
            for hash, count, window_ms in windows(phone, self._limits, self._hash)
        )

    def _count(self, hash: str, since: Instant) -> int:
        document = self._work.addresses.get(hash) or {}
        return sum(at > since for at in document.get("otp_sent", ()))


def windows(
    phone: str, limits: Limits, address_hash: AddressHash
) -> Iterator[tuple[str, int, int]]:
    """The hash, count and length (ms) of each window that a number falls into."""
    if limits.per_recipient is not None:
        yield (address_hash(KIND, phone), *limits.per_recipient)
    if limits.per_prefix is not None:
        # "…" keeps a prefix apart from a whole number of the same digits
        yield (address_hash(KIND, phone[:-PREFIX_CUT] + "…"), *limits.per_prefix)


def velocity_hashes(phone: str, limits: Limits, address_hash: AddressHash) -> set[str]:
    """The hashes of the documents that judge a number."""
    return {hash for hash, _, _ in windows(phone, limits, address_hash)}
