"""What a store remembers of what it read and wrote last, so that it need not be read and decoded again."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Kept(dict[str, T]):
    """The last ``limit`` values that were put."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: str, value: T) -> None:
        self.pop(key, None)
        self[key] = value
        if len(self) > self._limit:
            del self[next(iter(self))]
