"""
Which adapters there are: entry points of the group ``kaskad.adapters``, built-in ones and anyone's
alike.

Each is imported when it is first named, so that one broken plug-in is one clear problem and not a
crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from orchestrator.channels.adapter_api import Adapter

GROUP = "kaskad.adapters"


class BrokenAdapter(Exception):
    """An adapter that is registered but cannot be loaded; the text says why."""


@cache
def adapter_points() -> Mapping[str, EntryPoint]:
    """The registered adapters by name, none of them loaded."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def load_adapter(name: str) -> type[Adapter[Any]]:
    """
    The adapter of a name.

    Raises ``KeyError`` where nothing has registered it, ``BrokenAdapter`` where it cannot be
    imported or is no adapter.
    """
    point = adapter_points()[name]
    try:
        found = point.load()
    except Exception as error:
        raise BrokenAdapter(
            f"{point.value} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise BrokenAdapter(f"{point.value} is not a subclass of orchestrator.channels.Adapter")
    if not hasattr(found, "supports"):
        raise BrokenAdapter(f"{point.value} does not say what it supports")
    return found


def adapters_available() -> dict[str, type[Adapter[Any]]]:
    """Every adapter that can be loaded, by name."""
    found = {}
    for name in sorted(adapter_points()):
        try:
            found[name] = load_adapter(name)
        except BrokenAdapter:
            continue  # it is reported where a provider names it
    return found
