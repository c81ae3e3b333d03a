"""The codes that a batch has at hand."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from orchestrator.engine.not_loaded import NotLoaded
from orchestrator.stores.code_rows import FreeCode


class FreeCodes:
    """
    The codes that a batch may give. ``asked`` is how many of each pool it has asked for; a pool of
    which it got fewer has no others.
    """

    def __init__(self, found: Mapping[str, Sequence[FreeCode]], asked: Mapping[str, int]) -> None:
        self._free = {pool: deque(codes) for pool, codes in found.items()}
        self._all = {pool for pool, count in asked.items() if len(self._free[pool]) < count}

    def take(self, pool: str) -> FreeCode | None:
        """A code, None if the pool is empty. Raises ``NotLoaded``."""
        free = self._free.get(pool)
        if free:
            return free.popleft()
        if pool not in self._all:
            raise NotLoaded("a code of the pool", pool)
        return None

    def put_back(self, pool: str, code: FreeCode) -> None:
        """A code that this batch has taken, or one that a message gives back."""
        if pool in self._free:
            self._free[pool].append(code)


class InventedCodes(FreeCodes):
    """
    The codes of a place without a store: as many as anybody wants, but of the pools in ``limits``.
    """

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        super().__init__({}, {})
        self._limits = limits or {}
        self._given: Counter[str] = Counter()

    def take(self, pool: str) -> FreeCode | None:
        if self._given[pool] >= self._limits.get(pool, self._given[pool] + 1):
            return None
        self._given[pool] += 1
        code = invented_code(pool, self._given[pool])
        return FreeCode(code, code)


def invented_code(pool: str, number: int = 1) -> str:
    """A code to look at: ``SPRING-00001``."""
    return f"{pool.upper()}-{number:05}"
