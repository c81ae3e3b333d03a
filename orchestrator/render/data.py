"""Data on its way into a template, and out of it again as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from jinja2 import TemplateRuntimeError, Undefined
from jinja2.exceptions import SecurityError

from orchestrator.render.syntax import NESTING_MAX
from orchestrator.render.text import nfc

PRINTABLE = (str, int, float, Undefined)
SCALARS = frozenset({str, int, float, bool, type(None)})
PASSTHROUGH = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
PASSTHROUGH |= orjson.OPT_PASSTHROUGH_DATACLASS
WHOLE_MAX = 10**15
"""Floats below it are exact to the unit."""


def printable(value: Any) -> Any:
    """
    The value if it may be printed: null counts as missing, and a list is no text. A whole float is
    printed as the whole number it is, and 0.1 + 0.2 as 0.3.
    """
    if type(value) is str:
        return value
    if value is not None and not isinstance(value, PRINTABLE):
        raise TemplateRuntimeError(
            "a list or mapping cannot be printed; name what is to be shown of it"
        )
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TemplateRuntimeError("a number that is not finite cannot be printed")
        return (
            int(value) if value.is_integer() and abs(value) < WHOLE_MAX else float(f"{value:.15g}")
        )
    return value


def plain(value: Any) -> Any:
    """
    Only JSON's own types get into a template, and text in NFC; the rest becomes its text. What is
    so already is not copied: a template cannot change it.
    """
    try:
        found = orjson.dumps(value, option=PASSTHROUGH)
    except TypeError:  # half characters, large numbers, types of our own
        return copied(value)
    if found.isascii():
        return value
    text = found.decode()
    composed = nfc(text)  # no character of JSON's own syntax composes with a mark that follows it
    return value if composed == text else orjson.loads(composed)


def copied(value: Any, level: int = 0) -> Any:
    """The same, slowly, for what is not JSON."""
    if type(value) in SCALARS:
        return nfc(value) if type(value) is str else value
    if level > NESTING_MAX * 4:
        raise SecurityError("the event's data nests too deeply for a template")
    if isinstance(value, Mapping):
        return {nfc(str(key)): copied(item, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item, level + 1) for item in value]
    return value if isinstance(value, int | float) else nfc(str(value))
