"""The log of commands that fail unexpectedly; one that fails in a loop must not fill the disk."""

from __future__ import annotations

from collections.abc import Callable

import structlog

log = structlog.get_logger()

LOG_EVERY_SECONDS = 10.0


class FailureLog:
    """Logs each kind of failure at most every ten seconds. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged_at: dict[tuple[str, str], float] = {}
        self._unlogged: dict[tuple[str, str], int] = {}

    def record(self, command: str, error: Exception) -> None:
        """A command of this type raised an exception that its handler does not announce."""
        kind, now = (command, type(error).__name__), self._monotonic()
        if now - self._logged_at.get(kind, float("-inf")) < LOG_EVERY_SECONDS:
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        self._logged_at[kind] = now
        log.error(
            "engine.command_failed",
            command=command,
            unlogged_before=self._unlogged.pop(kind, 0),
            exc_info=error,
        )
