"""The registry of planted bugs by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Replacement = tuple[Any, str, Any]
"""``(what, the name in it, what stands there instead)``."""
Make = Callable[[], Sequence[Replacement]]
BUGS: dict[str, Make] = {}
NOTICED: dict[str, int] = {}
"""The seed that is known to notice a bug, for those that few seeds notice."""


def bug(seed: int | None = None) -> Callable[[Make], Make]:
    """Register a bug under its function's name; ``seed`` is tried before all others."""

    def register(make: Make) -> Make:
        BUGS[make.__name__] = make
        if seed is not None:
            NOTICED[make.__name__] = seed
        return make

    return register
