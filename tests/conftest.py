"""
Fixtures that every test may ask for; logs are plain lines, because drawn tracebacks take seconds on
a busy machine.
"""

from hypothesis import HealthCheck, settings

from orchestrator.telemetry.logging import configure_logging
from tests.support.postgres import postgres_server, postgres_url
from tests.support.told import pytest_terminal_summary

__all__ = ["postgres_server", "postgres_url", "pytest_terminal_summary"]

configure_logging("warning", "json")

# How long examples take to draw says how busy the machine is, and nothing of the product.
settings.register_profile("kaskad", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kaskad")
