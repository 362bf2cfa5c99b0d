"""`gracehttp completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gracehttp.console import echo

_VARIABLE = "_GRACEHTTP_COMPLETE"
"""By which click knows that a shell asks for completions (click, "Shell Completion")."""


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes commands and options in a shell.

    \b
    bash:  eval "$(gracehttp completion bash)"                                     in ~/.bashrc
    zsh:   eval "$(gracehttp completion zsh)"                                      in ~/.zshrc, after compinit
    fish:  gracehttp completion fish > ~/.config/fish/completions/gracehttp.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    echo(kind(click.Group(), {}, "gracehttp", _VARIABLE).source())
