"""
The command line. Exit codes: 0 fine, 1 the check failed, 2 usage, 3 could not connect.

Each verb imports what it needs when it runs, so that ``kaskad --help`` answers at once.
"""

from __future__ import annotations

import typer

from orchestrator.cli import author, bench, doctor, operate, rehearse, service

app = typer.Typer(
    name="kaskad",
    help="Omnichannel messaging: one event in, one person reached.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing frames around it takes longer than all the rest of --help
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
service.register(app)
author.register(app)
rehearse.register(app)
operate.register(app)
doctor.register(app)
bench.register(app)


def main() -> None:
    """The entry point of the ``kaskad`` command."""
    app()
