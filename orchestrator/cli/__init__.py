"""
The command line. Exit codes: 0 fine, 1 the check failed, 2 usage, 3 could not connect.

Each verb imports what it needs when it runs, so that ``kaskad --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator import __version__
from orchestrator.cli import (
    adapter,
    audit_log,
    author,
    backup,
    bench,
    code_pools,
    completion,
    configured,
    dead_letters,
    doctor,
    event_files,
    explain,
    init,
    journeys,
    messages,
    operate,
    pauses,
    people,
    rendering,
    reporting,
    send,
    service,
    simulating,
    status,
    testing,
    unknown,
    webhooks,
    whatsapp,
)

RUN, AUTHOR, OPERATE, MACHINE = "Run", "Write policies and templates", "Operate", "The environment"
GROUPS = (
    (RUN, ("init", "run", "demo", "sandbox", "send")),
    (AUTHOR, ("check", "test", "simulate", "render", "schema", "config", "adapter")),
    (
        OPERATE,
        tuple(
            [
                "status",
                "messages",
                "journeys",
                "explain",
                "report",
                "reload",
                "pause",
                "resume",
                "optout",
                "people",
                "codes",
                "dlq",
                "unknown",
                "events",
                "keys",
                "subject",
                "webhooks",
                "audit",
                "backup",
                "migrate",
            ]
        ),
    ),
    (MACHINE, ("doctor", "bench", "whatsapp", "completion")),
)
"""How ``kaskad --help`` groups the verbs, in its order."""
HELP_CHARS_MAX = 200


class Verbs(TyperGroup):
    """Shows the verbs in their groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for group, verbs in GROUPS:
            with formatter.section(group):
                formatter.write_dl(
                    [
                        (verb, self.commands[verb].get_short_help_str(HELP_CHARS_MAX))
                        for verb in verbs
                    ]
                )


app = typer.Typer(
    name="kaskad",
    cls=Verbs,
    help="Omnichannel messaging: one event in, one person reached.",
    epilog="Start with `kaskad init`: it writes a project that works, and says what to type next.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing frames around it takes longer than all the rest of --help
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
init.register(app)
service.register(app)
author.register(app)
rendering.register(app)
configured.register(app)
adapter.register(app)
testing.register(app)
simulating.register(app)
reporting.register(app)
explain.register(app)
operate.register(app)
messages.register(app)
journeys.register(app)
dead_letters.register(app)
unknown.register(app)
pauses.register(app)
code_pools.register(app)
people.register(app)
event_files.register(app)
send.register(app)
status.register(app)
backup.register(app)
audit_log.register(app)
doctor.register(app)
bench.register(app)
webhooks.register(app)
whatsapp.register(app)
completion.register(app)


def print_version(wanted: bool) -> None:
    """Print what is installed, and end."""
    if wanted:
        typer.echo(f"kaskad {__version__}")
        raise typer.Exit


@app.callback()
def kaskad(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Omnichannel messaging: one event in, one person reached."""


def main() -> None:
    """The entry point of the ``kaskad`` command."""
    completion.prepare()
    app(prog_name="kaskad")
