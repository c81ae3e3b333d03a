"""Fixtures that every test may ask for; logs are plain lines, because drawn tracebacks take seconds on a busy machine."""

from orchestrator.telemetry import configure_logging
from tests.support.postgres import postgres_server, postgres_url
from tests.support.told import pytest_terminal_summary

__all__ = ["postgres_server", "postgres_url", "pytest_terminal_summary"]

configure_logging("warning", "json")
