"""
P5: no provider gets more than its rate. Of calls that were decided and that reached the provider
within one second, only as many may be there as one second's burst, that second's tokens, and those
that were taken just before and were still good.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.evidence import Evidence

SECONDS = 1.0
AROUND_SECONDS = 30.0
"""A process that was down or stood still spends what it had, and a new one begins with a burst."""


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    for account in evidence.run.scenery.accounts.values():
        if account.rate is None:
            continue
        good_seconds = max(0.5, 1 / account.rate)
        most = int(max(1.0, account.rate) + account.rate * (SECONDS + good_seconds))
        calls = sorted(
            (sent.intent.at, sent.write.moment.at)
            for sent in evidence.sent
            if sent.intent is not None and sent.attempt.provider == account.name
        )
        for several in (calls[n : n + most + 1] for n in range(len(calls) - most)):
            written = sorted(at for _, at in several)
            together = max(several[-1][0] - several[0][0], written[-1] - written[0]) <= SECONDS
            if together and undisturbed(evidence, several[0][0], written[-1]):
                yield (
                    f"P5 {account.name} got {len(several)} calls within a second, at"
                    f" {account.rate} a second"
                )
                break


def undisturbed(evidence: Evidence, first: float, last: float) -> bool:
    """Whether the service ran without a break before and during these seconds."""
    begin = first - AROUND_SECONDS
    jumps = (jump.at for jump in evidence.ledger.jumps)
    return not any(begin < jump < last for jump in jumps) and not any(
        begin < end and start < last for start, end in evidence.ledger.breaks
    )
