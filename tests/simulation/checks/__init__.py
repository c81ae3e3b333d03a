"""
The promises, checked from outside: P1 to P7, one module each.

They know what was asked of the service and when it said yes, what the providers really got, what
became durable and when, and the policies. Of the code under test they use its data types and, for
P6, the replay of a history; what may be sent, and when, they work out for themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks import (
    counted,
    digests,
    inside,
    journeys,
    nothing_lost,
    offers,
    once,
    overtaking,
    paused,
    policy,
    reasons,
    receipts,
    replies,
    true_ends,
)
from tests.simulation.checks.evidence import Evidence
from tests.simulation.world import SimulatedRun

CHECKS = (
    nothing_lost.check,
    inside.check,
    replies.check,
    digests.check,
    journeys.check,
    receipts.check,
    once.check,
    offers.check,
    overtaking.check,
    policy.check,
    paused.check,
    reasons.check,
    true_ends.check,
    counted.check,
)


def broken(run: SimulatedRun) -> list[str]:
    """Every promise that a run has broken, as a sentence that begins with its name."""
    return list(found(run))


def found(run: SimulatedRun) -> Iterator[str]:
    for error in run.ledger.errors:
        yield f"P1 an unexpected error: {error}"
    evidence = Evidence(run)
    for check in CHECKS:
        yield from check(evidence)
