"""
docs/command-line.md, made of the command line's own parser:

    python -m orchestrator.cli.reference > docs/command-line.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from orchestrator.cli import GROUPS, app

INTRODUCTION = """\
# Command line

Every verb with its arguments and options, as `--help` shows them. Made by
`python -m orchestrator.cli.reference > docs/command-line.md`.

* Exit codes: 0 fine, 1 the check failed, 2 usage, 3 could not connect.
* `-o json` prints JSON on standard output; errors and progress go to standard error.
* The configuration is `-c FILE`, else `$KASKAD_CONFIG`, else `./config/kaskad.yaml`.
* Colours are left out where the output is no terminal, and where `NO_COLOR` is set.
"""
HELP = "help"


def page() -> str:
    """The whole page."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    root: Any = get_command(app)
    context = root.make_context("kaskad", [], resilient_parsing=True)
    yield INTRODUCTION
    for group, names in GROUPS:
        yield f"## {group}\n"
        for name in names:
            yield from verb(root.commands[name], f"kaskad {name}", context)


def verb(command: Any, name: str, parent: Any) -> Iterator[str]:
    """A verb, or each verb of a group; the group itself if it does something alone."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    verbs = getattr(command, "commands", {})
    if not verbs or command.invoke_without_command:
        yield from section(command, name, context)
    for word, below in verbs.items():
        yield from verb(below, f"{name} {word}", context)


def section(command: Any, name: str, context: Any) -> Iterator[str]:
    yield f"### `{name}`\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{text_of(command.help)}\n"
    found = [one.get_help_record(context) for one in command.params if one.name != HELP]
    rows = [row for row in found if row is not None]
    if rows:
        yield "| | |\n|---|---|"
        yield from (f"| `{cell(left)}` | {cell(text_of(right))} |" for left, right in rows)
        yield ""


def text_of(text: str | None) -> str:
    """One paragraph a blank line, without the breaks of the source."""
    parts = re.split(r"\n\s*\n", text or "")
    return "\n\n".join(" ".join(part.split()).replace("\b", "") for part in parts)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
