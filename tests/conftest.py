"""Fixtures that every test may ask for; logs are plain lines, because drawn tracebacks take seconds on a busy machine."""

from orchestrator.telemetry import configure_logging
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

configure_logging("warning", "json")
