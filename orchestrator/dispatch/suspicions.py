"""
Whether answers that recipients' own data may have caused are our fault after all.

One stale push subscription, or one domain that blocks us, says nothing about the provider. The same
kind of answer from several different recipients in a row, with no success between, does: then our
account is wrong, or the provider is down.
"""

from __future__ import annotations

from orchestrator.core.outcomes import Accepted, Outcome

RECIPIENTS_MIN = 5
RECIPIENTS_MAX = 50
"""Also what is remembered of one row, at most."""
ONE_GROUP_FACTOR = 4
"""So many times more it takes if all of them share a group (a mail domain)."""


class Suspicions:
    """
    The row of personal answers since the last success. A row that a success ends was personal, so
    the next one has to be twice as long: a provider with many stale addresses stays open.
    """

    def __init__(self) -> None:
        self._groups: dict[str, str] = {}
        self._needed = RECIPIENTS_MIN

    def ours(self, outcome: Outcome, recipient: str, group: str) -> bool:
        """
        Record an answer; True if it is one of so long a row that the recipients cannot be its
        cause. ``group`` is what several recipients may share (their mail domain), else their id.
        """
        if isinstance(outcome, Accepted):
            ended = min(2 * len(self._groups), RECIPIENTS_MAX)
            self._needed = max(self._needed, ended)
            self._groups.clear()
            return False
        if not outcome.personal:
            return False
        if len(self._groups) < RECIPIENTS_MAX:
            self._groups[recipient] = group
        alike = len(set(self._groups.values())) < 2
        needed = self._needed * (ONE_GROUP_FACTOR if alike else 1)
        return len(self._groups) >= min(needed, RECIPIENTS_MAX)
