"""A cache of the embedded store's recent rows, so that they need not be read and decoded again."""

from __future__ import annotations

from orchestrator.core.message import TERMINAL
from orchestrator.stores.lru_cache import LruCache
from orchestrator.stores.rows import Changes, MessageRow

MESSAGES_MAX = 4_096
RECIPIENTS_MAX = 8_192
ADDRESSES_MAX = 16_384


class RowCache:
    """
    Never stale: nobody else writes this store, and rows that a commit is about to change are taken
    out before it. Messages are never changed in place; of documents the bytes are kept, empty if
    there is none. Messages that have finished are dropped: few are asked for again, and the garbage
    collector visits every object that is kept.
    """

    def __init__(self) -> None:
        self.messages: LruCache[MessageRow] = LruCache(MESSAGES_MAX)
        self.recipients: LruCache[bytes] = LruCache(RECIPIENTS_MAX)
        self.addresses: LruCache[bytes] = LruCache(ADDRESSES_MAX)

    def withdraw(self, changes: Changes) -> dict[str, MessageRow]:
        """
        Take out the rows that a commit is about to change: others read while the commit waits for
        the disk, and must not find new rows of a message beside an old recipient. Returns what was
        known of its messages, for ``take``.
        """
        if changes.erased:
            self.clear()
        for id in changes.recipients:
            self.recipients.pop(id, None)
        for hash in changes.addresses:
            self.addresses.pop(hash, None)
        known = (
            (message.id, self.messages.pop(message.id, None)) for message, _ in changes.changed
        )
        return {id: row for id, row in known if row is not None}

    def take(self, changes: Changes, known: dict[str, MessageRow]) -> None:
        """Add what has just been committed; ``known`` is what ``withdraw`` returned."""
        if changes.erased:
            self.clear()
            return
        for message, event, _ in changes.created:
            if message.status not in TERMINAL:
                self.messages.put(message.id, MessageRow(message, event))
        for message, _ in changes.changed:
            row = known.get(message.id)
            if row is not None and message.status not in TERMINAL:
                self.messages.put(message.id, MessageRow(message, row.event))
        for id, document in changes.recipients.items():
            self.recipients.put(id, document)
        for hash, document in changes.addresses.items():
            self.addresses.put(hash, document)

    def clear(self) -> None:
        self.messages.clear()
        self.recipients.clear()
        self.addresses.clear()
