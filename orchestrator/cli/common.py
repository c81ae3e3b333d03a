"""Common options and output of the verbs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
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
JunitOption = Annotated[
    str, typer.Option("-o", "--output", help="text, json, or junit (XML for CI systems).")
]


def find_config(given: Path | None) -> Path:
    """The configuration file that this call means; ends the program where there is none."""
    from orchestrator.configuration.settings_file import find_config as find
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        found = find(given, os.environ, Path.cwd())
    except ConfigError as error:
        fail(str(error), USAGE)
    read_env_file(found)
    return found


def read_env_file(config: Path) -> None:
    """
    Add to the environment what the project's ``.env`` file has and it has not. The file is looked
    for in the configuration's folder, or beside it if that is called ``config``.
    """
    folder = config.resolve().parent
    path = (folder.parent if folder.name == "config" else folder) / ".env"
    if not path.is_file():
        return
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: it cannot be read: {error}", USAGE)
    for name, value in values.items():
        if value is not None:
            os.environ.setdefault(name, value)


def how_called(folder: Path | None = None) -> str:
    """
    What to type in ``folder`` (default: here) to call this command again: ``kaskad`` if the shell
    finds this one, else how it was found this time.
    """
    extra, parts = find_spec("aiosmtpd") is not None, Path(sys.prefix).parts
    if "archive-v0" in parts:  # a cached environment of uvx, which no shell finds
        return "uvx --from 'kaskad[sandbox]' kaskad" if extra else "uvx kaskad"
    if "pipx" in parts and "venvs" not in parts:  # one of `pipx run`
        return "pipx run --spec 'kaskad[sandbox]' kaskad" if extra else "pipx run kaskad"
    own, found = Path(sys.argv[0]), shutil.which("kaskad")
    if found is not None and own.name == "kaskad" and Path(found).samefile(own):
        return "kaskad"
    script = Path(sys.executable).with_name("kaskad")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m orchestrator.cli"
    near = os.path.relpath(script, folder or Path.cwd())
    return shlex.quote(near if len(near) < len(str(script)) else str(script))


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
    return output_format(output, "text", "json") == "json"


def output_format(output: str, *known: str) -> str:
    """The value of ``-o``; anything but the ``known`` ones is a usage error."""
    if output not in known:
        fail(f"-o takes {', '.join(known[:-1])} or {known[-1]}, not {output!r}", USAGE)
    return output


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_explanation(document: dict[str, Any], policy: bool = False) -> None:
    """An explanation, for people; ``policy``: with the policy's text at that time."""
    from orchestrator.explain import as_text, print_rich

    if sys.stdout.isatty():
        print_rich(document, policy)
    else:
        typer.echo(as_text(document, policy), nl=False)


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
