"""What people do with the items of their inbox, as receipts and answers of their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import structlog

from orchestrator.api.ports import ApiDeps
from orchestrator.channels import Engagement, Inbound, Receipt
from orchestrator.channels.builtin import IN_APP
from orchestrator.core.status import Delivery
from orchestrator.engine.commands import RecordInbound, RecordReceipt
from orchestrator.engine.engine import Busy, Stopped
from orchestrator.stores.item_rows import ItemMark, ItemRow
from orchestrator.stores.port import StoreBusy

log = structlog.get_logger()

DELIVERED_SECONDS = 2.0

RECEIPTS: dict[ItemMark, Delivery | Engagement] = {
    ItemMark.SEEN: Delivery.DELIVERED,
    ItemMark.READ: Engagement.READ,
    ItemMark.CLICKED: Engagement.CLICKED,
}
"""What a mark proves; the others prove nothing about the message."""


def pressed(deps: ApiDeps, recipient: str, row: ItemRow, action: str) -> RecordInbound:
    """An action of an item is an answer, and the id of a choice if the item asked for one."""
    document = orjson.loads(row.document) if row.document is not None else {}
    titles = {one["action"]: one["title"] for one in document.get("actions", ())}
    inbound = Inbound(
        kind="", value="", text=titles.get(action, action), clicked=True, choice=action
    )
    found = deps.adapters().get(row.provider)
    channel = found[1] if found is not None else IN_APP.name
    return RecordInbound(row.provider, channel, inbound, row.message, row.attempt)


def receipts_of(rows: Sequence[ItemRow], mark: ItemMark) -> list[RecordReceipt]:
    """The receipts that are not on record yet."""
    state = RECEIPTS.get(mark)
    if state is None:
        return []
    receipt = Receipt(state=state)
    return [
        RecordReceipt(row.provider, receipt, row.message, row.attempt)
        for row in rows
        if state is not Delivery.DELIVERED or row.delivered_at is None
    ]


async def submit(deps: ApiDeps, commands: Sequence[RecordReceipt | RecordInbound]) -> None:
    """Have receipts committed; what is no longer known is dropped. Raises the first error."""
    for found in await deps.engine.submit_many(commands):
        if isinstance(found, BaseException) and not isinstance(found, LookupError):
            raise found


async def report_delivered(deps: ApiDeps, recipient: str, rows: Sequence[ItemRow]) -> None:
    """
    Record that items were taken by who shows them. If that fails or takes long it is only logged:
    the next time that they are taken it is tried again.
    """
    new = [row for row in rows if row.delivered_at is None and row.document is not None]
    if not new:
        return
    try:
        async with asyncio.timeout(DELIVERED_SECONDS):
            await asyncio.shield(asyncio.ensure_future(record_delivered(deps, recipient, new)))
    except (Busy, Stopped, StoreBusy, TimeoutError) as error:
        log.warning("inbox.not_recorded", reason=type(error).__name__)


async def record_delivered(deps: ApiDeps, recipient: str, rows: Sequence[ItemRow]) -> None:
    await submit(deps, receipts_of(rows, ItemMark.SEEN))
    await deps.reader.note_delivered(recipient, [row.id for row in rows], deps.now())
