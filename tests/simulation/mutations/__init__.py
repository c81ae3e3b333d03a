"""The planted bugs themselves: for each, what is replaced by what."""

from tests.simulation.mutations import (
    counted,
    durability,
    ends,
    express,
    inside,
    journeys,
    offers,
    once,
    replies,
    rules,
    timing,
    waits,
)
from tests.simulation.mutations.registry import BUGS, NOTICED

__all__ = [
    "BUGS",
    "NOTICED",
    "counted",
    "durability",
    "ends",
    "express",
    "inside",
    "journeys",
    "offers",
    "once",
    "replies",
    "rules",
    "timing",
    "waits",
]
