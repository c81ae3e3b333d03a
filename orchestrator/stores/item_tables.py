"""The inboxes of both stores, and what a batch writes to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from orchestrator.stores.item_rows import FIRST_ITEM, InboxState, ItemMark, ItemRow, NewItemRow
from orchestrator.stores.rows import Changes
from orchestrator.stores.sql import Driver

ITEMS_MAX = 10_000
"""Of one inbox; the oldest go first."""
WITHDRAWN_KEPT_MS = 7 * 86_400_000
"""For so long a page can learn that an item was withdrawn."""

Statement = tuple[str, Sequence[Sequence[Any]]]
"""The name of a statement, and the rows to run it for."""

MARKS = {
    ItemMark.SEEN: ("seen_at = {at}", "seen_at is null"),
    ItemMark.READ: ("seen_at = coalesce(seen_at, {at}), read_at = {at}", "read_at is null"),
    ItemMark.UNREAD: ("read_at = null", "read_at is not null"),
    ItemMark.ARCHIVED: ("archived_at = {at}", "archived_at is null"),
    ItemMark.CLICKED: (
        "seen_at = coalesce(seen_at, {at}), read_at = coalesce(read_at, {at}),"
        " clicked_at = coalesce(clicked_at, {at})",
        "(clicked_at is null or read_at is null)",
    ),
}
"""What each mark sets, and on which items it has anything to set."""

ITEM_STATUSES = {
    "": "archived_at is null",
    "unread": "archived_at is null and read_at is null",
    "unseen": "archived_at is null and seen_at is null",
    "archived": "archived_at is not null",
    "all": "true",
}
"""What a list of items may be narrowed to."""


class InboxTables(Driver):
    """Implements ``InboxStore``."""

    async def inbox(self, recipient: str, now: int) -> InboxState:
        rows = await self.fetch("inbox", recipient, now)
        return InboxState(*rows[0]) if rows else InboxState(0, 0, 0, 0)

    async def inbox_numbers(self, recipients: Collection[str]) -> dict[str, int]:
        rows = await self.fetch("inbox_numbers", self.many(recipients))
        return {row[0]: row[1] for row in rows}

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
        where, values = ITEM_STATUSES[status], [recipient, now, *before]
        if category is not None:
            where += f" and category = {self.parameter}5"
            values.append(category)
        text = self.queries["items"].format(where=where, limit=int(limit))
        return [ItemRow(*row) for row in await self.fetch_text(text, *values)]

    async def item(self, recipient: str, id: str, now: int) -> ItemRow | None:
        rows = await self.fetch("item", recipient, id, now)
        return ItemRow(*rows[0]) if rows else None

    async def changed_items(
        self, recipient: str, after: int, now: int, limit: int
    ) -> list[ItemRow]:
        rows = await self.fetch("changed_items", recipient, after, now, limit)
        return [ItemRow(*row) for row in rows]

    async def mark_item(self, recipient: str, id: str, mark: ItemMark, at: int) -> None:
        await self._mark("id = {parameter}2", recipient, id, mark, at)

    async def mark_items(self, recipient: str, up_to: int, mark: ItemMark, at: int) -> None:
        shown = "number <= {parameter}2 and archived_at is null"
        await self._mark(shown, recipient, up_to, mark, at)

    async def _mark(
        self, which: str, recipient: str, value: str | int, mark: ItemMark, at: int
    ) -> None:
        given, due = MARKS[mark]
        words = {
            "given": given.format(at=int(at)),
            "where": f"{which.format(parameter=self.parameter)} and {due}",
        }
        values = (recipient, value)
        names = ("count_items_marked", "mark_items")
        await self.transact([(self.queries[name].format(**words), values) for name in names])

    async def note_delivered(self, recipient: str, ids: Sequence[str], at: int) -> None:
        note = self.queries["note_delivered"]
        hold = (self.queries["hold_inbox"], (recipient,))
        await self.transact([hold, *((note, (recipient, id, at)) for id in sorted(ids))])


def item_writes(changes: Changes) -> Iterator[Statement]:
    """
    The statements of ``inbox.sql`` that a batch needs, with their rows. One that does several
    things takes all of its inboxes first, in one order, so that no two wait for each other.
    """
    read, withdrawn = changes.items_read, changes.items_withdrawn
    if changes.erased or (changes.items, read, withdrawn).count([]) < 2:
        people = {row.recipient for row in changes.items}.union(
            changes.erased, (row[0] for row in read), (row[0] for row in withdrawn)
        )
        yield "hold_inbox", [(one,) for one in sorted(people)]
    yield from items_in_rounds(changes.items, changes.at)
    if changes.items_read:
        rows = [(*row, changes.at) for row in sorted(changes.items_read)]
        yield "count_item_read", [row[:2] for row in rows]
        yield "read_item", rows
    if changes.items_withdrawn:
        until = changes.at + WITHDRAWN_KEPT_MS
        rows = [(*row, until) for row in sorted(changes.items_withdrawn)]
        yield "count_item_withdrawn", [row[:2] for row in rows]
        yield "withdraw_item", rows


def items_in_rounds(items: Sequence[NewItemRow], at: int) -> Iterator[Statement]:
    """
    The statements that add items: each of an inbox has a number of its own, so the second item of a
    person is added in a second round. In one order, so that two batches never wait for each other.
    """
    left = sorted(items, key=lambda row: (row.recipient, row.id))
    while left:
        first = {row.recipient: row for row in reversed(left)}
        rows = sorted(first.values(), key=lambda row: row.recipient)
        people = [row.recipient for row in rows]
        yield "open_inbox", [(one, at) for one in people]
        yield "count_item", [(row.recipient, row.id) for row in rows]
        yield "add_item", rows
        yield "forget_items", [(one, ITEMS_MAX) for one in people]
        yield "drop_items", [(one, ITEMS_MAX) for one in people]
        left = [row for row in left if first[row.recipient] is not row]
