"""Shell completion: the script that a shell reads, and the answers that it then asks for."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_KASKAD_COMPLETE"
"""With it in the environment, the command says what could be typed next instead of running."""
HOW = {
    "bash": 'put  eval "$(kaskad completion bash)"  into ~/.bashrc',
    "zsh": 'put  eval "$(kaskad completion zsh)"  into ~/.zshrc, after compinit',
    "fish": "write it to ~/.config/fish/completions/kaskad.fish",
}


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """
    Print the script by which a shell completes verbs, options and files. In bash and zsh, evaluate
    it; for fish, write it to ~/.config/fish/completions/kaskad.fish.
    """
    import sys

    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="kaskad", complete_var=VARIABLE, shell=shell.value)
    typer.echo(script)
    if sys.stdout.isatty():
        typer.echo(f"# {HOW[shell.value]}", err=True)


def prepare() -> None:
    """Teach the command the shells, if one of them asks."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
