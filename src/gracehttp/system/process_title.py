"""What ps and top show of a process.

The kernel reads a command line from the memory of its process (proc_pid_cmdline(5)), so a title is written over the
arguments there. It can't be longer than they were, and is cut. The short name, which `ps` without options and `top`
show, is in /proc/self/comm.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_ARG_START, _ARG_END = 48, 49
"""Fields of proc_pid_stat(5), counted from 1; the state, which follows the name in parentheses, is the third."""
_AFTER_NAME = 3
LONGEST_COMM_BYTES = 15
_TITLES = b"gracehttp: "
"""How all titles begin: one process can be given several."""


def set_title(title: str, comm: str) -> None:
    """Show `title` as the command line of this process and `comm` as its short name, where the system has a way.

    What Python knows of the arguments (`sys.argv`, `sys.orig_argv`) stays.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_bytes(comm.encode()[:LONGEST_COMM_BYTES])
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        start, end = (int(fields[number - _AFTER_NAME]) for number in (_ARG_START, _ARG_END))
        if not 0 < start < end:
            return
        # The last byte stays zero: with another one the kernel reads on, in the variables of the environment.
        text = title.encode("utf-8", "backslashreplace")[: end - start - 1].ljust(end - start, b"\0")
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            # In valgrind they are its own, which it needs to follow our children.
            if memory.read(end - start).startswith((_TITLES, os.fsencode(sys.orig_argv[0]) + b"\0")):
                memory.seek(start)
                memory.write(text)
