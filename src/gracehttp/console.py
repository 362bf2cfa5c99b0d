"""What the command line says at the terminal, whose reader may have left (`gracehttp check | head -1`)."""

from __future__ import annotations

import os
import sys

from gracehttp.errors import CommandFailed


def echo(text: str, *, err: bool = False) -> None:
    """Print `text` and a line end on standard output, or with `err` on standard error, at once.

    If the reader has left, this and all later output is dropped: what a command does, and its exit status, must not
    depend on its reader. Raises `CommandFailed` if standard output can't take the text for another reason, as on a full
    disk. Standard error is given up then.
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


def echo_result(text: str) -> None:
    """Print the result of a command that has been carried out.

    If standard output can't take it, it goes to standard error. That is no failure: an exit status that says so would
    be wrong.
    """
    try:
        echo(text)
    except CommandFailed as exc:
        echo(f"{text}\nnote: {exc.message}", err=True)
