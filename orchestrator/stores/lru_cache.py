"""The values that were put last, up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

T = TypeVar("T")


class LruCache(OrderedDict[str, T]):
    """
    A plain dict would do, but to find its first key it walks over every slot that was emptied
    before it: a microsecond each time.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: str, value: T) -> None:
        """Add a value, and drop the oldest one if there are more than the limit."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)
