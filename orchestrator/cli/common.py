"""Common options and output of the verbs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote

import typer

FINE, CHECK_FAILED, USAGE, NO_CONNECTION = 0, 1, 2, 3

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file; else $KASKAD_CONFIG, else ./config/kaskad.yaml.",
    ),
]
OutputOption = Annotated[str, typer.Option("-o", "--output", help="text or json.")]


def find_config(given: Path | None) -> Path:
    """The configuration file that this call means; ends the program where there is none."""
    from orchestrator.configuration.settings_file import find_config as find
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        return find(given, os.environ, Path.cwd())
    except ConfigError as error:
        fail(str(error), USAGE)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong on standard error, and end with a code."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def require_extra(extra: str, module: str) -> None:
    """End the program with the pip command if an optional dependency is missing."""
    if find_spec(module) is None:
        command = f"pip install 'kaskad[{extra}]'"
        fail(f"this verb needs {module}, which is not installed; run: {command}", USAGE)


def wants_json(output: str) -> bool:
    """Whether ``-o json`` was given; anything else than text or json is a usage error."""
    if output not in ("text", "json"):
        fail(f"-o takes text or json, not {output!r}", USAGE)
    return output == "json"


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a verb's coroutine on the fast loop where there is one."""
    try:
        import uvloop
    except ImportError:
        import asyncio

        return asyncio.run(work)
    return uvloop.run(work)


def read_input(path: str) -> bytes:
    """A file's bytes; ``-`` is standard input."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        fail(f"{path}: {error.strerror}", USAGE)


def segment(id: str) -> str:
    """An id as one segment of a path, whatever it is made of (``..`` and ``a/b`` are ids, too)."""
    return quote(id, safe="").replace(".", "%2E")
