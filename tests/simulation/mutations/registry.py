"""The registry of planted bugs by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Replacement = tuple[Any, str, Any]
"""``(what, the name in it, what stands there instead)``."""
BUGS: dict[str, Callable[[], Sequence[Replacement]]] = {}


def bug(make: Callable[[], Sequence[Replacement]]) -> Callable[[], Sequence[Replacement]]:
    BUGS[make.__name__] = make
    return make
