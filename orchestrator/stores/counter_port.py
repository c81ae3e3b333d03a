"""What a store promises of sums that all processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.stores.rows import ReceiptCount


class CounterStore(Protocol):
    """Sums that all processes share."""

    async def spent(self, day: str) -> dict[str, int]:
        """Millionths of the currency spent per channel on a day."""

    async def answer_hours(self) -> list[int]:
        """How often people have answered at each of the 24 hours of their day."""

    async def count_receipts(self, counts: Sequence[tuple[str, int, int, int]]) -> None:
        """Add to what was counted: rows as of ``ReceiptCount``."""

    async def receipt_counts(self, since_minute: int) -> list[ReceiptCount]: ...
