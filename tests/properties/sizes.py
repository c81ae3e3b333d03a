"""How many examples a property gets: few in every run, many under `verify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


def sizes(few: int, many: int) -> pytest.MarkDecorator:
    """The test runs with ``size`` examples: ``few``, and ``many`` where the long proofs run."""
    long = pytest.param(many, marks=pytest.mark.verify)
    return pytest.mark.parametrize("size", [few, long])


def runs(size: int) -> Callable[[Any], Any]:
    """What every property is run under."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=size, deadline=None, print_blob=True, suppress_health_check=quiet)
