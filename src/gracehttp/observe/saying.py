"""Saying something to the person at the terminal, who may have left (`gracehttp check | head -1`)."""

from __future__ import annotations

import os
import sys


def say(text: str, *, err: bool = False) -> None:
    """Print `text` and a line end on standard output, or with `err` on standard error, at once.

    If nobody reads it any more, it is dropped, and so is what is printed there later: what a command has done, and its
    exit status, don't depend on who reads on.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # What is left in the stream's buffer would raise again at the end of the interpreter (signal module, "Note on
        # SIGPIPE").
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
