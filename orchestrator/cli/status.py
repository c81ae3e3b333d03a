"""The verb that shows an installation on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, print_json, wants_json
from orchestrator.cli.operate import ask
from orchestrator.cli.pauses import sentence


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """What works, what waits and why, what is paused, and what needs a person."""
    as_json = wants_json(output)
    found = ask(config, "GET", "/control/status")
    if as_json:
        print_json(found)
        return
    for heading, lines in screen(found):
        for number, line in enumerate(lines):
            typer.echo(f"{heading if number == 0 else '':<12}{line}")


def screen(found: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each part's heading and its lines."""
    yield "release", [found["release"]]
    yield (
        "processes",
        [
            f"{one['id']}  {one['release']}  seen {one['silent_ms'] / 1000:.0f} s ago"
            for one in found["processes"]
        ],
    )
    under_way = found["under_way"]
    more = "" if under_way["whole"] else "more than "
    yield (
        "under way",
        [
            f"{more}{under_way['messages']} messages, {under_way['calls_open']} calls without an"
            f" answer, {under_way['unknown']} unknown, {under_way['overdue']} overdue"
        ],
    )
    yield "held", [f"{count:>8}  {reason}" for reason, count in under_way["held"].items()]
    yield (
        "backlog",
        [
            f"{one['waiting']:>8}  {one['provider']}  {one['message_class']}"
            for one in found["backlog"]
        ]
        or ["empty"],
    )
    yield (
        "receipts",
        [
            f"{one['channel']:<12}{one['delivered']} of {one['sent']} delivered"
            f" ({share(one['delivered'], one['sent'])}) in the last hour"
            for one in found["receipts"]
        ],
    )
    yield "paused", [sentence(one) for one in found["pauses"]] or ["nothing"]
    yield "needs you", found["needs_a_person"] or ["nothing"]


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
