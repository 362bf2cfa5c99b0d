"""Saying something to the person at the terminal, who may have left (`gracehttp check | head -1`)."""

from __future__ import annotations

import os
import sys

from gracehttp.errors import CommandFailed


def say(text: str, *, err: bool = False) -> None:
    """Print `text` and a line end on standard output, or with `err` on standard error, at once.

    If nobody reads it any more, it is dropped, and so is what is printed there later: what a command has done, and its
    exit status, don't depend on who reads on. If standard output can't take it, as on a full disk, `CommandFailed` is
    raised; standard error that can't is given up.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError as exc:
        # What is left in the stream's buffer would raise again at the end of the interpreter (signal module, "Note on
        # SIGPIPE").
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
        if not err and not isinstance(exc, BrokenPipeError):
            raise CommandFailed(f"standard output can't be written: {exc.strerror}.") from exc


def say_done(text: str) -> None:
    """As `say`, of what is done already: if standard output can't take it, standard error is told, and nobody is led
    to think by an exit status that it failed."""
    try:
        say(text)
    except CommandFailed as exc:
        say(f"{text}\nnote: {exc.message}", err=True)
