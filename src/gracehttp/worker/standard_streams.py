"""The standard streams of a worker: it prints whole lines, and once ready it writes to the supervisor's stderr."""

from __future__ import annotations

import io
import os
import sys


def print_whole_lines() -> None:
    """Write standard output and standard error line by line.

    Containers often set PYTHONUNBUFFERED. Then each argument of a `print` is a write of its own, and other workers
    write in between. A line is soon enough (`io.TextIOWrapper.reconfigure`).
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper) and stream.write_through and not stream.isatty():
            stream.reconfigure(line_buffering=True, write_through=False)


def write_to_stderr_directly(stderr: int) -> None:
    """Write to `stderr`, the supervisor's own, and close it. Until now the supervisor has read what this process wrote,
    to tell why a start failed."""
    sys.stderr.flush()
    os.dup2(stderr, 2)
    os.close(stderr)
