"""How far what happens inside may lead, before a chain of it is cut."""

from __future__ import annotations

HOPS_MAX = 8
"""So many messages and journeys may start each other, one after another."""
CHAIN_MAX = 100
"""So many may all that follows from one of them, or from one event of nobody's message, have."""
