"""
Values: what is made by the dozen for every decision, and never changed.

A frozen dataclass takes four to eight times as long to make as a plain one, because it sets every field the long way round
its own lock. So here the type checker keeps the lock, and nothing pays for it when the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(kind: type[T]) -> type[T]:
    """A dataclass with slots whose objects are equal, and hashed, by their fields; to the type checker it is frozen."""
    return dataclass(slots=True, unsafe_hash=True)(kind)
