"""Live messages as this process read or wrote them last."""

from __future__ import annotations

from orchestrator.core.message import TERMINAL
from orchestrator.stores.lru_cache import LruCache
from orchestrator.stores.rows import Changes, MessageRow

MESSAGES_MAX = 4_096


class MessageCache(LruCache[tuple[str, MessageRow]]):
    """
    Each message with the version of its row: the transaction that wrote it. A cached message is
    used only if its row still has that version, so it does not matter who else writes.
    """

    def __init__(self) -> None:
        super().__init__(MESSAGES_MAX)

    def take(self, changes: Changes, version: str) -> None:
        """Add what has just been committed."""
        if changes.erased:
            self.clear()
            return
        for message, event, _ in changes.created:
            if message.status not in TERMINAL:
                self.put(message.id, (version, MessageRow(message, event)))
        for message, _ in changes.changed:
            known = self.pop(message.id, None)
            if known is not None and message.status not in TERMINAL:
                self.put(message.id, (version, MessageRow(message, known[1].event)))
