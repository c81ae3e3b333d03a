"""
Holds back log lines that repeat: a cause that recurs for ever must not fill a disk.

A cause is an event name with the type of its error and what it is about (a provider, a topic, …),
never a message or a person. Each may write a burst of lines and then one every few seconds. How
many were held back stands in its next line, and in a line of its own once it is quiet.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

BURST = 8
LINE_EVERY_SECONDS = 5.0
CAUSES_MAX = 1_000
ABOUT = ("provider", "topic", "sink", "task", "command", "queue", "code", "reason", "route")

Cause = tuple[str, ...]


class Repeats:
    """A processor of structlog. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[Cause, list[float]] = OrderedDict()
        """Of each cause: the lines it may still write, at which time, and how many were held."""
        self._summing_up = False

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Raises ``DropEvent`` for a line that is held back."""
        if event.get("event") == "log.held_back":
            return event
        cause, now = cause_of(event), self._monotonic()
        left, at, held = self._known.pop(cause, (float(BURST), now, 0))
        left = min(BURST, left + (now - at) / LINE_EVERY_SECONDS)
        if left < 1:
            self._known[cause] = [left, now, held + 1]
            self._sum_up_later()
            raise structlog.DropEvent
        self._known[cause] = [left - 1, now, 0]
        if len(self._known) > CAUSES_MAX:
            self._known.popitem(last=False)
        if held:
            event["held_back"] = int(held)
        return event

    def _sum_up_later(self) -> None:
        """Have the summary written, if this is a thread with a loop that can do it."""
        if self._summing_up:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._summing_up = True
        loop.call_later(2 * LINE_EVERY_SECONDS, self._sum_up)

    def _sum_up(self) -> None:
        """Write how much was held back of each cause that is quiet by now; look again later."""
        self._summing_up = False
        now = self._monotonic()
        log = structlog.get_logger()
        for cause, state in list(self._known.items()):
            _, at, held = state
            if not held:
                continue
            if now - at < LINE_EVERY_SECONDS:
                self._sum_up_later()
                continue
            state[2] = 0
            log.warning("log.held_back", cause=" ".join(filter(None, cause)), count=int(held))


def cause_of(event: MutableMapping[str, Any]) -> Cause:
    """What a line is about, without anything that differs from message to message."""
    error = event.get("exc_info")
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    kind = type(error).__name__ if isinstance(error, BaseException) else ""
    return (str(event.get("event")), kind, *(str(event.get(key) or "") for key in ABOUT))
