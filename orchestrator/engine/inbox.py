"""
What a batch does to inboxes: an answer adds an item, a click elsewhere reads it, a cancellation
withdraws it.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from orchestrator.channels import InboxItem
from orchestrator.channels.registry import channels
from orchestrator.core.facts import Fact, ReceiptReceived
from orchestrator.core.message import Attempt, Message, Status
from orchestrator.core.status import Engagement
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.stores.item_rows import NewItemRow


def item_id(message: str, step: int) -> str:
    """The id of the one item that a step of a message can leave, however often it is tried."""
    return f"{message}-{step}"


def keep_item(context: BatchContext, entry: WorkingMessage, number: int, item: InboxItem) -> None:
    """
    Add the item of attempt ``number`` with its answer. A message that was cancelled meanwhile, or
    whose recipient was erased, leaves none; one that was clicked elsewhere leaves it read.
    """
    message = entry.message
    if message.status is Status.CANCELLED or not any(entry.event.values()):
        return
    attempt = message.attempts[number]
    person, changes = context.work.person(message.recipient), context.work.changes
    person.dirty |= not person.known  # so that the person can be erased
    row = NewItemRow(
        item_id(message.id, attempt.step),
        message.recipient,
        message.id,
        number,
        attempt.provider,
        item.category,
        int(item.pinned),
        context.now,
        item.expires_at,
        orjson.dumps(item.content),
    )
    changes.items.append(row)
    if any(Engagement.CLICKED in other.engagement for other in elsewhere(message)):
        changes.items_read.append((message.recipient, row.id))


def update_items(context: BatchContext, before: Message, after: Message, fact: Fact) -> None:
    """Read the items of a message that was clicked elsewhere; withdraw those of a cancelled one."""
    changes = context.work.changes
    match fact:
        case ReceiptReceived(number, Engagement.CLICKED):
            if any(one.number == number for one in elsewhere(after)):
                changes.items_read += items_of(after)
    if after.status is Status.CANCELLED and before.status is not Status.CANCELLED:
        changes.items_withdrawn += items_of(after)


def elsewhere(message: Message) -> list[Attempt]:
    """The attempts that went to no inbox."""
    return [one for one in message.attempts if not in_inbox(one)]


def in_inbox(attempt: Attempt) -> bool:
    """Whether an attempt left an item. Its channel may have been uninstalled since."""
    channel = channels().get(attempt.channel)
    return channel is not None and channel.inbox


def items_of(message: Message) -> Iterator[tuple[str, str]]:
    """The recipient and id of each item that the message may have left."""
    for step in {one.step for one in message.attempts if in_inbox(one)}:
        yield message.recipient, item_id(message.id, step)
