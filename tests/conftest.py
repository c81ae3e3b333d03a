"""
Fixtures that every test may ask for, and how Hypothesis and logs are set up.

A pure test starts in well under a second, so nothing heavy is imported here: Hypothesis is set up
before the first file that uses it, logs once something has imported them.
"""

import gc
import sys
from collections.abc import Generator

import pytest

from tests.support.measured import pytest_terminal_summary
from tests.support.postgres import (
    empty_postgres_url,
    postgres_server,
    postgres_url,
    store_url,
)

__all__ = [
    "empty_postgres_url",
    "postgres_server",
    "postgres_url",
    "pytest_terminal_summary",
    "store_url",
]


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Load our Hypothesis profile before a file's decorators take their settings from it."""
    if isinstance(collector, pytest.Module) and b"hypothesis" in collector.path.read_bytes():
        from tests.support import hypothesis_profile  # noqa: F401 - importing it loads the profile


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect twelve thousand tests without looking for garbage, and never look among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Write logs as plain lines: drawn tracebacks take seconds on a busy machine."""
    if "structlog" in sys.modules and not sys.modules["structlog"].is_configured():
        from orchestrator.telemetry.logging import configure_logging

        configure_logging("warning", "json")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Drop Hypothesis' plugin from a run without properties: its summary would import it all."""
    plugins = session.config.pluginmanager
    if "hypothesis" not in sys.modules and plugins.has_plugin("hypothesispytest"):
        plugins.unregister(name="hypothesispytest")
