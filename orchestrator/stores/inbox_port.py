"""What a store promises of inboxes; the other ports are in ``port.py``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from orchestrator.stores.item_rows import FIRST_ITEM, InboxState, ItemMark, ItemRow


class InboxStore(Protocol):
    """
    The items of people's inboxes. A change of an item gets the next number of its inbox (``seq``),
    and once a number can be read, so can every change up to it.
    """

    async def inbox(self, recipient: str, now: int) -> InboxState:
        """An inbox; one that was never written to has the numbers 0."""

    async def inbox_numbers(self, recipients: Collection[str]) -> dict[str, int]:
        """The number of the last change of each inbox that there is."""

    async def items(
        self,
        recipient: str,
        now: int,
        *,
        status: str = "",
        category: str | None = None,
        before: tuple[int, int] = FIRST_ITEM,
        limit: int = 100,
    ) -> list[ItemRow]:
        """
        Items that have not expired, pinned ones first, then the newest. ``status`` is ``unread``,
        ``unseen``, ``archived``, ``all``, or "" for all that are not archived; ``before`` is the
        last ``(pinned, number)`` of the page before.
        """

    async def item(self, recipient: str, id: str, now: int) -> ItemRow | None: ...

    async def changed_items(
        self, recipient: str, after: int, now: int, limit: int
    ) -> list[ItemRow]:
        """What has changed since the number ``after``, oldest first, withdrawn items included."""

    async def mark_item(self, recipient: str, id: str, mark: ItemMark, at: int) -> None:
        """Mark one item; nothing changes if it is gone, or marked so already."""

    async def mark_items(self, recipient: str, up_to: int, mark: ItemMark, at: int) -> None:
        """The same for all that were there at the number ``up_to``."""

    async def note_delivered(self, recipient: str, ids: Sequence[str], at: int) -> None:
        """Note that items were taken by who shows them; for those this is no change."""
