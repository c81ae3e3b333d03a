"""
The commands in the documentation: every `kaskad …` line, and whether the command line accepts it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from orchestrator.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "bench" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.S | re.M)
SPAN = re.compile(r"`(?:[A-Z_]+=\S+ )*kaskad ([^`\n]+)`")
LINE = re.compile(r"(?:^|exec \S+ |&& )(?:[A-Z_]+=\S+ )*(?:ExecStart=)?(?:\S*/)?kaskad (.*)")
"""Lines in which `kaskad` is run, and not only named."""
ROOT_OPTIONS = ("--help", "-h", "--version")
ENDS = ("|", "<", ">", "&", "&&", ";", "\\")


def blocks(text: str) -> Iterator[str]:
    """The lines of all blocks that are commands: those without a language, or of a shell."""
    for _, language, block in BLOCK.findall(text):
        if language in ("", "sh", "bash", "console"):
            yield from re.sub(r"\\\n *", "", block).splitlines()


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every whole command line in a page."""
    text = page.read_text()
    for line in blocks(text):
        found = LINE.search(line.split("  #")[0].split("   ")[0])
        if found is not None:
            yield arguments_in(found[1])
    for span in SPAN.findall(BLOCK.sub("", text)):
        yield arguments_in(span)


def arguments_in(text: str) -> list[str]:
    """Up to where the shell, or the text, takes over."""
    words = shlex.split(text, comments=True)
    end = next((place for place, word in enumerate(words) if word in ENDS), len(words))
    return words[:end]


def mistake(arguments: list[str]) -> str | None:
    """
    The command line's error for some arguments, None if it accepts them; nothing is run.
    """
    command: Any = get_command(app)
    context = command.make_context("kaskad", [], resilient_parsing=True)
    rest = list(arguments)
    if rest and rest[0] in ROOT_OPTIONS:
        return None
    while hasattr(command, "commands"):
        name = rest.pop(0) if rest else ""
        if name not in command.commands:
            return f"there is no verb {name!r}"
        command = command.commands[name]
        if not hasattr(command, "commands"):
            try:
                command.make_context(name, rest, parent=context)
            except Exception as error:
                return str(getattr(error, "message", None) or error) or type(error).__name__
    return None
