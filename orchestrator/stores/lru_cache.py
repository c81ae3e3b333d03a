"""
What a store remembers of what it read and wrote last, so that it need not be read and decoded
again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

T = TypeVar("T")


class LruCache(OrderedDict[str, T]):
    """
    The last ``limit`` values that were put. A plain dict would do, but to find its first key it
    walks over everything that has been taken out before it: a microsecond each time.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: str, value: T) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)
