"""
JSON logs without personal data.

A log line has a constant dotted event name and keys. Values of keys on the allow-list pass as they
are; any other text is masked if it looks like a phone number, an address, a token or a push
endpoint. That includes exception texts.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from orchestrator.primitives.masking import masked
from orchestrator.primitives.trace_context import trace_id_of
from orchestrator.telemetry.repeats import Repeats

# fmt: off
SAFE_KEYS = frozenset({
    "event", "level", "timestamp", "logger", "provider", "channel", "policy", "policies", "reason",
    "code", "status", "message_id", "seconds", "count", "queue", "lane", "listen", "admin", "topic",
    "partition", "offset", "sink", "command", "state", "result", "attempt", "size", "gate",
    "version", "cause", "held_back", "trace_id",
})
# fmt: on


def mask_values(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The processor of every log line: masks values of keys that are not on the allow-list."""
    for key, value in event.items():
        if key not in SAFE_KEYS:
            event[key] = mask_any(value)
    return event


def add_trace_id(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The processor that names the trace of the message that a line is about."""
    if isinstance(message := event.get("message_id"), str):
        with suppress(ValueError):
            event["trace_id"] = trace_id_of(message)
    return event


def mask_any(value: Any) -> Any:
    if isinstance(value, int | float | bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): mask_any(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_any(item) for item in value]
    return masked(str(value))


def configure_logging(level: str = "info", format: str = "json", traces: bool = False) -> None:
    """
    One line per event on standard error; of a cause that repeats only some (``Repeats``). With
    ``traces``, a line about a message has its ``trace_id``.
    """
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([add_trace_id] if traces else []),
            Repeats(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_values,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[QuietHandler()], force=True)


class StandardError:
    """
    Standard error at the time of writing, which tests replace after the set-up. A line that cannot
    be written (the disk is full, the reader is gone) is lost: the work goes on.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class QuietHandler(logging.Handler):
    """Warnings of libraries, masked like our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library.warning", logger=record.name, text=record.getMessage()
        )
