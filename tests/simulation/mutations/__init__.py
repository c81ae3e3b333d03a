"""The planted bugs themselves: for each, what is replaced by what."""

from tests.simulation.mutations import durability, ends, express, once, rules, waits
from tests.simulation.mutations.registry import BUGS

__all__ = ["BUGS", "durability", "ends", "express", "once", "rules", "waits"]
