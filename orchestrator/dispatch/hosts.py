"""
What is known of hosts that users supply: each has a breaker of its own.

A push endpoint that cannot be resolved, or that never answers, is one subscription's trouble, so it
never counts against the provider. While a host is shut, its sends are not made and are tried again
when it opens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from orchestrator.channels import HttpCall
from orchestrator.core.outcomes import NotSent
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.breakers import Breaker

HOSTS_MAX = 1_024
"""The least recently used hosts beyond that are forgotten: their breakers start closed again."""


class HostBreakers:
    """``new`` makes the breaker of a host that is not known yet."""

    def __init__(self, new: Callable[[], Breaker]) -> None:
        self._new = new
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._breakers)

    def of(self, host: str) -> Breaker:
        """A host's breaker."""
        found = self._breakers.get(host)
        if found is None:
            found = self._breakers[host] = self._new()
            while len(self._breakers) > HOSTS_MAX:
                self._breakers.popitem(last=False)
        self._breakers.move_to_end(host)
        return found

    def refusal(self, host: str, now: int) -> NotSent | None:
        """The outcome of a send to a host that is shut; None if the send may start."""
        breaker = self.of(host)
        until = breaker.shut_until(now)
        if until is None and breaker.admits(now) > 0:
            breaker.probing(now)
            return None
        wait_ms = max(1_000, (until or now) - now)
        return NotSent(Reason.BREAKER_OPEN, wait_ms, "host_shut", f"{host} fails too often")


def host_of(request: HttpCall | None) -> str | None:
    """The host of a request's URL if a user supplied it, in lower case; else None."""
    if request is None or not request.guarded:
        return None
    try:
        return urlsplit(request.url).hostname or ""
    except ValueError:
        return ""
