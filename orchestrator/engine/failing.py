"""Work that fails for reasons that nobody foresaw rests, longer after each failure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from orchestrator.core.cascade.backoff import LONGEST_MS, delay_ms

K = TypeVar("K", bound=Hashable)

LONGEST_SECONDS = LONGEST_MS / 1000
STORE_SECONDS = 2.0
"""The longest pause of what waits for the store: looking at it is cheap, and much waits for it."""
HELD_MAX = 1_000
"""Of so many keys the failures are remembered; the one that failed longest ago is forgotten."""


def delay_seconds(tries: int, salt: str, longest_seconds: float = LONGEST_SECONDS) -> float:
    """The pause after ``tries`` failures in a row: it grows up to the longest one."""
    return min(delay_ms(min(tries, 9), salt) / 1000, longest_seconds)


class Failing(Generic[K]):
    """
    Keys whose work fails. Each rests longer after every failure, so that it neither spins nor takes
    the place of others. ``monotonic`` is in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[K, tuple[int, float]] = OrderedDict()

    def failed(self, key: K, *, free_tries: int = 0) -> None:
        """Note one more failure in a row; the first ``free_tries`` cost no rest."""
        tries = self._known.pop(key, (0, 0.0))[0] + 1
        seconds = delay_seconds(tries - free_tries, str(key)) if tries > free_tries else 0.0
        self._known[key] = (tries, self._monotonic() + seconds)
        if len(self._known) > HELD_MAX:
            self._known.popitem(last=False)

    def worked(self, key: K) -> None:
        """Forget the failures of a key."""
        self._known.pop(key, None)

    @property
    def full(self) -> bool:
        """Whether more fail than can be told apart: then the work as a whole must slow down."""
        return len(self._known) >= HELD_MAX

    def resting(self) -> set[K]:
        """The keys that are not to be tried now."""
        if not self._known:
            return set()
        now = self._monotonic()
        return {key for key, (_, until) in self._known.items() if until > now}
