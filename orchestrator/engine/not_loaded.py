"""The error of a handler that reads what its command has not asked for."""

from __future__ import annotations

from typing import Any


class NotLoaded(RuntimeError):
    """
    A handler used a key that no command of its batch had asked for.

    Two commands of one batch may cause it together (one changes the phone whose limits the other
    reads). The batch is then halved, and each of them succeeds. A command that fails alone has
    forgotten something in its ``needs`` or ``needs_addresses``.
    """

    def __init__(self, kind: str, key: Any, command: str = "a command") -> None:
        # the third part of a dedupe key is a value of the event, so errors leave it out
        shown = key[:2] if isinstance(key, tuple) else key
        super().__init__(f"{kind} {shown!r} was not asked for by {command}")
        self._what = (kind, key)

    def by(self, command: object) -> NotLoaded:
        """The same error with the type of the command in it."""
        return NotLoaded(*self._what, type(command).__name__)
