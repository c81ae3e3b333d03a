"""The number of examples of a property: few in every run, many under `verify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings


def sizes(few: int, many: int) -> pytest.MarkDecorator:
    """The test runs with ``size`` examples: ``few``, and ``many`` where the long proofs run."""
    long = pytest.param(many, marks=pytest.mark.verify)
    return pytest.mark.parametrize("size", [few, long])


def runs(size: int) -> Callable[[Any], Any]:
    """The settings of every property test."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=size, deadline=None, print_blob=True, suppress_health_check=quiet)


def examples(
    few: int, many: int, *strategies: Any, **named: Any
) -> Callable[[Callable[..., None]], Any]:
    """``given`` with ``few`` examples, and with ``many`` where the long proofs run."""

    def sized(test: Callable[..., None]) -> Any:
        def holds(size: int) -> None:
            decorated: Any = given(*strategies, **named)
            runs(size)(decorated(test))()

        holds.__name__, holds.__doc__, holds.__module__ = (
            test.__name__,
            test.__doc__,
            test.__module__,
        )
        return sizes(few, many)(holds)

    return sized
